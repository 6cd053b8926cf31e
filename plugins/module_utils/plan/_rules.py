# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the field that hold beyond one model: what an engine or this hardware does not survive. PRIVATE to the collection.

Limits of one model stand in its profile; names that engines changed stand in RENAMES.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..common._problem import Problem, show


@dataclasses.dataclass(frozen=True)
class Rename:
    """A name that an engine changed: from version `since` the old one is an alias, from `removed` on it is gone (None: not yet)."""

    engine: str
    where: str
    old: str
    new: str
    since: str
    removed: str | None


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

    def problem(self, key: str, found: object, wanted: str, why: str) -> Problem:
        return Problem(self.where, key, "nothing" if found is None else show(found), wanted, f"Reason: {why}.")


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
    if share is not None and not 0 < share <= 0.90:
        why = "0.92 crashed twice on GB10; 0.90 is the proven ceiling"
        yield view.problem("args.gpu-memory-utilization", view.args["gpu-memory-utilization"], "more than 0 and at most 0.90", why)
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


def long_context(view: View) -> Iterator[Problem]:
    value = view.env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "0")
    if value != "0":
        why = "beyond max_position_embeddings attention is prone to NaN"
        yield view.problem("env.VLLM_ALLOW_LONG_MAX_MODEL_LEN", value, "'0', or the profile without it", why)


def kv_cache_dtype(view: View) -> Iterator[Problem]:
    if view.args.get("kv-cache-dtype") == "nvfp4":
        yield view.problem("args.kv-cache-dtype", "nvfp4", "fp8", "an NVFP4 KV cache needs torch.nvfp4, which is not public")


def sglang_backends(view: View) -> Iterator[Problem]:
    for key, bad, good, why in (
        ("attention-backend", "triton", "flashinfer", "SGLang asserts triton attention off for NemotronH"),
        ("moe-runner-backend", "triton", "flashinfer_cutlass", "AssertionError: mismatch in expected n in cutlass_moe_fp4 at start"),
        ("fp4-gemm-backend", "flashinfer_cudnn", "flashinfer_cutlass", "RuntimeError: cuDNN is not available in the image"),
    ):
        if view.engine == "sglang" and view.args.get(key) == bad:
            yield view.problem(f"args.{key}", bad, repr(good), why)


def transformers_version(view: View) -> Iterator[Problem]:
    speculative = view.args.get("speculative-config")
    method = speculative.get("method") if isinstance(speculative, Mapping) else None
    wanted = view.versions.get("transformers", "")
    if method == "qwen3_next_mtp" and not wanted.startswith((">=5", "==5")):
        why = "the qwen3_next_mtp configuration classes are in transformers 5"
        yield view.problem("image", wanted or None, "an image whose image.yml asks for transformers >=5", why)


RULES: tuple[Callable[[View], Iterator[Problem]], ...] = (
    offline,
    memory_ceiling,
    long_context,
    kv_cache_dtype,
    sglang_backends,
    transformers_version,
)


def renamed(view: View) -> tuple[list[Problem], list[str]]:
    """Old names: a problem where the image's engine no longer knows them, a warning where they are aliases."""
    from packaging.version import InvalidVersion, Version

    try:
        version = Version(view.versions.get(view.engine, "").removeprefix("=="))
    except InvalidVersion:
        return [], []  # the image does not pin its engine, so nothing can be said
    speculative = view.args.get("speculative-config")
    method = speculative.get("method") if isinstance(speculative, Mapping) else None
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


def _part(value: Any, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def pinned(image: Mapping[str, Any], engine: str) -> str:
    """What an image asks of its engine's version; empty where it does not."""
    return str(_part(_part(image, "expect"), "versions").get(engine, ""))


def check(profile: Mapping[str, Any], image: Mapping[str, Any], where: str) -> tuple[list[Problem], list[str]]:
    """Every rule that a profile breaks, and warnings. Its `args` are as the engine reads them."""
    versions = _part(_part(image, "expect"), "versions")
    view = View(str(profile.get("engine")), _part(profile, "args"), _part(profile, "env"), versions, where)
    problems, warnings = renamed(view)
    for rule in RULES:
        problems += rule(view)
    return problems, warnings
