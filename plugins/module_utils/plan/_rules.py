# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the field that hold beyond one model: what an engine or this hardware does not survive. PRIVATE to the collection.

Limits of one model stand in its profile; names that engines changed stand in RENAMES.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..common._problem import Problem, show
from . import _floors
from .engines import _flags
from .engines._flags import Table


@dataclasses.dataclass(frozen=True)
class Rename:
    """A name that an engine changed: from version `since` the old one is an alias, from `removed` on it is gone (None: not yet)."""

    engine: str
    where: str
    old: str
    new: str
    since: str
    removed: str | None


# Of a node's memory, for all that one rank takes.
CEILING = 0.90
CLASSES = "the qwen3_next_mtp configuration classes are in transformers 5"
# A wheel bump is one line here.
RENAMES = (
    # Older builds rejected "mtp"; the relation inverted in 0.22.1 dev124.
    Rename("vllm", "args.speculative-config.method", "qwen3_next_mtp", "mtp", "0.22.1rc1.dev124", None),
    Rename("vllm", "env.VLLM_FLASHINFER_MOE_BACKEND", "", "args.moe-backend", "0.22.0", "0.23.0"),
)


@dataclasses.dataclass(frozen=True)
class View:
    """A profile as the rules see it; parts of a wrong type are empty."""

    engine: str
    args: Mapping[str, Any]
    env: Mapping[str, Any]
    versions: Mapping[str, str]
    where: str
    parallel: Mapping[str, Any]
    limits: Sequence[Mapping[str, Any]]
    repo: str
    drafts: Sequence[str]
    image: Mapping[str, Any]
    image_name: str
    table: Table | None

    def problem(self, key: str, found: object, wanted: str, why: str, code: str = "rule") -> Problem:
        return Problem(self.where, key, "nothing" if found is None else show(found), wanted, f"Reason: {why}.", code)

    def default(self, flag: str) -> Any:
        """What the engine takes where the profile does not say; None is computed."""
        return self.table.flags.get(flag, {}).get("default") if self.table else None


def view(profile: Mapping[str, Any], image: Mapping[str, Any], where: str, limits: Sequence[Mapping[str, Any]] = ()) -> View:
    """A profile whose `args` (and `limits`) are as the engine reads them."""
    engine, model = str(profile.get("engine")), _part(profile, "model")
    drafts = model.get("drafts")
    return View(
        engine,
        _part(profile, "args"),
        _part(profile, "env"),
        _part(_part(image, "expect"), "versions"),
        where,
        _part(profile, "parallel"),
        limits,
        str(model.get("repo")),
        [str(draft.get("repo")) for draft in drafts if isinstance(draft, Mapping)] if isinstance(drafts, list) else [],
        image,
        str(profile.get("image")),
        _flags.pick(engine, pinned(image, engine))[0] if engine in _flags.engines() else None,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def offline(view: View) -> Iterator[Problem]:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if view.env.get(name) != "1":
            yield view.problem(f"env.{name}", view.env.get(name), "'1'", "weights are local; a look at the hub hangs or changes them")


def memory_ceiling(view: View) -> Iterator[Problem]:
    # Of a mod; what the engine's own take is in its table.
    key = "gpu-memory-utilization-gb"
    if key in view.args and _number(view.args[key]) is None:
        yield view.problem(f"args.{key}", view.args[key], "a number", "the plan computes each rank's memory from it")
    share, gib = (_number(view.args.get(key)) for key in ("gpu-memory-utilization", "gpu-memory-utilization-gb"))
    # An image that says it has no CUDA has no such budget.
    cuda = "expect" in view.image and _part(view.image, "expect").get("cuda", "any") is not None
    default = view.default("gpu-memory-utilization")
    unsaid = cuda and not {"gpu-memory-utilization", key, "kv-cache-memory-bytes"} & view.args.keys() and default is not None
    if (share is not None and not 0 < share <= CEILING) or (unsaid and default > CEILING):
        why = f"0.92 crashed twice on GB10; {CEILING:.2f} is the proven ceiling"
        broken = view.problem("args.gpu-memory-utilization", share, f"more than 0 and at most {CEILING:.2f}", why, "out-of-range")
        yield dataclasses.replace(broken, found=f"nothing, which is {default}") if unsaid else broken
    static = _number(view.args.get("mem-fraction-static"))
    if static is not None and not 0 < static < 1:
        why = "it is SGLang's share of the GPU's memory for weights and KV cache"
        yield view.problem("args.mem-fraction-static", view.args["mem-fraction-static"], "more than 0 and less than 1", why)
    if gib is not None and not 0 < gib <= 110:
        why = "the tightest node shows vLLM 111.27 GiB; 110 is the firm cap with its margin"
        yield view.problem("args.gpu-memory-utilization-gb", view.args["gpu-memory-utilization-gb"], "more than 0 and at most 110", why)
    if share is not None and gib is not None:
        yield view.problem("args.gpu-memory-utilization-gb", gib, "one of it and gpu-memory-utilization", "two budgets contradict")
    if gib is not None and "kv-cache-memory-bytes" in view.args:
        why = "kv-cache-memory-bytes skips the check of free memory"
        yield view.problem("args.kv-cache-memory-bytes", view.args["kv-cache-memory-bytes"], "gpu-memory-utilization-gb alone", why)


def kv_cache_dtype(view: View) -> Iterator[Problem]:
    if view.args.get("kv-cache-dtype") == "nvfp4":
        yield view.problem("args.kv-cache-dtype", "nvfp4", "fp8", "an NVFP4 KV cache needs torch.nvfp4, which is not public")


def sglang_backends(view: View) -> Iterator[Problem]:
    attention = ("attention-backend", "prefill-attention-backend", "decode-attention-backend")
    # Only its asserts, and its experts' sizes, are known: other models in NVFP4 run with triton, and one of them with nothing else.
    if view.engine != "sglang" or "nemotron" not in view.repo.lower():
        return
    fp4 = "fp4" in f"{view.args.get('quantization')} {view.repo}".lower()
    for key, bad, good, why in (
        *((key, "triton", "flashinfer", "SGLang asserts triton attention off for NemotronH") for key in attention),
        ("moe-runner-backend", "triton", "flashinfer_cutlass", "AssertionError: mismatch in expected n in cutlass_moe_fp4 at start"),
    ):
        if view.args.get(key) == bad and (fp4 or key in attention):
            yield view.problem(f"args.{key}", bad, repr(good), why)


def transformers_version(view: View) -> Iterator[Problem]:
    from packaging.specifiers import SpecifierSet

    wanted = view.versions.get("transformers", "")
    if _drafts_by(view) == "qwen3_next_mtp" and wanted and any(SpecifierSet(wanted).contains(old) for old in ("4.57.6", "4.99")):
        yield view.problem("image", wanted, "an image whose image.yml asks for transformers >=5", CLASSES)


def _drafts_by(view: View) -> Any:
    speculative = view.args.get("speculative-config")
    return speculative.get("method") if isinstance(speculative, Mapping) else None


def floors(view: View) -> Iterator[Problem]:
    for floor, text in _floors.asked(view.versions):
        reason = f"image {view.image_name}: expect.versions.{floor.name}"
        yield view.problem(reason, text, f"{floor.name} {floor.version} or newer", floor.because, "below-floor")


RULES: tuple[Callable[[View], Iterator[Problem]], ...] = (
    offline,
    memory_ceiling,
    kv_cache_dtype,
    sglang_backends,
    transformers_version,
    floors,
)


def renamed(view: View) -> tuple[list[Problem], list[str]]:
    """Old names: a problem where the image's engine no longer knows them, a warning where they are aliases."""
    from packaging.version import InvalidVersion, Version

    try:
        version = Version(view.versions.get(view.engine, "").removeprefix("=="))
    except InvalidVersion:
        return [], []  # the image does not pin its engine, so nothing can be said
    method = _drafts_by(view)
    problems, warnings = [], []
    for rename in RENAMES:
        kind, _dot, name = rename.where.partition(".")
        used = name in view.env if kind == "env" else method == rename.old
        if rename.engine != view.engine or not used:
            continue
        if rename.removed and version >= Version(rename.removed):
            found = rename.old or name
            problems.append(
                view.problem(rename.where, found, rename.new, f"removed in {rename.engine} {rename.removed}, the image has {version}")
            )
        elif version >= Version(rename.since):
            warnings.append(
                f"{rename.where}: {rename.old or name} is deprecated in {rename.engine} {version}; the new name is {rename.new}"
            )
    return problems, warnings


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def pinned(image: Mapping[str, Any], engine: str) -> str:
    """What an image asks of its engine's version; empty where it does not."""
    return str(_part(_part(image, "expect"), "versions").get(engine, ""))


def check(seen: View) -> tuple[list[Problem], list[str]]:
    """Every rule that a profile breaks, and warnings."""
    problems, warnings = renamed(seen)
    if _drafts_by(seen) == "qwen3_next_mtp" and not seen.versions.get("transformers"):
        warnings.append(f"image: {seen.image_name} says nothing of transformers in its image.yml, and {CLASSES}")
    for rule in RULES:
        problems += rule(seen)
    return problems, warnings
