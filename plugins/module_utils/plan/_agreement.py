# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the parts of a profile agree: the split, speculation, context, quantization, mods and image? PRIVATE to the collection.

What only the checkpoint's config.json can tell stands in _checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..common._problem import Problem
from ._rules import View
from .engines._engines import MODELS
from .engines._limits import value_of

# Where max-model-len and context-length are computed from: vllm/transformers_utils/model_arch_config_convertor.py, and
# sglang/srt/utils/hf_transformers_utils.py (CONTEXT_LENGTH_KEYS).
POSITIONS = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_target_positions"),
    *("max_sequence_length", "max_seq_length", "seq_len"),
)
# Of an engine: the flag that changes the checkpoint's config.json, and the one of the context.
CONFIG = {"vllm": ("hf-overrides", "max-model-len"), "sglang": ("json-model-override-args", "context-length")}
# vllm/config/speculative.py: what drafts without a model of its own, and without a number of tokens.
DRAFTLESS = re.compile(r"(.*_)?mtp|\[?ngram\]?|ngram_gpu|suffix|extract_hidden_states")
# Of the engine's GPUs, which the plan does not count.
MULTIPLIERS = {"vllm": ("data-parallel-size", "prefill-context-parallel-size")}
# What a name says of the weights; the first that fits.
KINDS = ("mxfp4", "fp4", "fp8", "awq", "gptq", "gguf", "bitsandbytes", "int8", "int4")


def split(view: View) -> Iterator[Problem]:
    tensor, expert = (_int(view.parallel.get(key, 1)) for key in ("tensor", "expert"))
    if tensor is None or expert is None:
        return
    wanted, why = "", ""
    if view.engine == "vllm" and expert not in (1, tensor):
        wanted, why = f"1 or {tensor}", "vLLM spreads experts over all tensor ranks, or none"
    elif view.engine == "sglang" and expert not in (1, tensor) and str(view.args.get("moe-runner-backend")).startswith("flashinfer_cut"):
        wanted, why = f"1 or {tensor}", f"moe-runner-backend {view.args['moe-runner-backend']} takes no other"
    elif tensor % expert:
        wanted, why = f"a divisor of parallel.tensor, {tensor}", "experts are spread over tensor ranks"
    if wanted:
        yield view.problem("parallel.expert", expert, wanted, why, "parallel")
    for key in MULTIPLIERS.get(view.engine, ()):
        if view.args.get(key, 1) != 1:
            why = "it takes more GPUs than tensor x pipeline, which the plan counts"
            yield view.problem(f"args.{key}", view.args[key], "1, or the profile without it", why, "parallel")
    for key in ("decode-context-parallel-size", "attention-context-parallel-size", "moe-data-parallel-size", "data-parallel-size"):
        parts = _int(view.args.get(key, 1))
        if parts and key not in MULTIPLIERS.get(view.engine, ()) and tensor % parts:
            yield view.problem(f"args.{key}", parts, f"a divisor of parallel.tensor, {tensor}", "it splits the tensor ranks", "parallel")
    # vllm/config/parallel.py; 0.30 takes it and has nobody to talk to.
    alone = view.args.get("decode-context-parallel-size", 1) == 1
    if view.args.get("dcp-comm-backend") == "a2a" and alone and view.table is not None and view.table.version.startswith("0.22."):
        why = "it is how the ranks of a split context talk"
        yield view.problem("args.dcp-comm-backend", "a2a", "args.decode-context-parallel-size above 1 with it", why, "needs")
    for key in ("speculative-config.draft_tensor_parallel_size", "moe-dense-tp-size"):
        ranks = value_of(view.args, key)
        if ranks is not None and ranks not in (1, tensor):
            yield view.problem(f"args.{key}", ranks, f"1 or {tensor}, parallel.tensor", "the engine takes no other", "parallel")
    if view.args.get("enable-eplb") and expert == 1:
        yield view.problem("parallel.expert", expert, f"{tensor} with args.enable-eplb", "it balances experts that are spread", "parallel")
    if view.engine == "sglang" and view.parallel.get("pipeline", 1) != 1 and "speculative-algorithm" in view.args:
        why = "SGLang's pipeline takes no speculation"
        yield view.problem("parallel.pipeline", view.parallel["pipeline"], "1 with args.speculative-algorithm", why, "parallel")
    if view.engine == "sglang" and view.args.get("data-parallel-size", 1) != 1 and not view.args.get("enable-dp-attention"):
        why = "without it every copy takes GPUs beside tensor x pipeline, which the plan counts"
        yield view.problem("args.enable-dp-attention", None, "true with args.data-parallel-size", why, "parallel")


def speculation(view: View) -> Iterator[Problem]:
    config = view.args.get("speculative-config")
    if isinstance(config, Mapping):
        method, model, tokens = (config.get(key) for key in ("method", "model", "num_speculative_tokens"))
        draftless = isinstance(method, str) and DRAFTLESS.fullmatch(method) is not None
        if model is None and not draftless:
            wanted = "the path of a draft model, or a method that needs none"
            why = f"{'no method' if method is None else method} drafts without one"
            yield view.problem("args.speculative-config.model", None, wanted, why, "drafter")
        if tokens is None and method != "suffix":
            wanted = "how many tokens are drafted"
            yield view.problem(
                "args.speculative-config.num_speculative_tokens", None, wanted, "else the drafter's config decides", "drafter"
            )
        yield from _drafter(view, "speculative-config.model", None if str(method).startswith(("ngram", "[ngram", "suffix")) else model)
    algorithm = view.args.get("speculative-algorithm")
    if algorithm in ("STANDALONE", "DFLASH") and "speculative-draft-model-path" not in view.args:
        yield view.problem("args.speculative-draft-model-path", None, "the path of a draft model", f"{algorithm} needs one", "drafter")
    yield from _drafter(view, "speculative-draft-model-path", view.args.get("speculative-draft-model-path"))


def _drafter(view: View, key: str, model: Any) -> Iterator[Problem]:
    """A draft model is staged and verified as the model is."""
    staged = [f"{MODELS}/{repo}" for repo in (view.repo, *view.drafts)]
    if isinstance(model, str) and model not in staged:
        wanted = f"{MODELS}/ORG/NAME of one of model.drafts"
        yield view.problem(f"args.{key}", model, wanted, "only those are on the nodes, and the hub is not asked", "drafter")


def context(view: View) -> Iterator[Problem]:
    flag, length = CONFIG.get(view.engine, ("", ""))
    changed = view.args.get(flag)
    if isinstance(changed, str):
        yield view.problem(f"args.{flag}", changed, "a mapping", "a text cannot be compared with the limits", "wrong-type")
    highest = [
        limit["max"] for limit in view.limits if limit.get("arg") == length and isinstance(limit.get("max"), int | float)
    ]  # fmt: skip
    for path, value in _leaves(changed, ""):
        name = path.rpartition(".")[2]
        if name == "quantization_config" or ".quantization_config." in f".{path}.":
            why = "the weights are quantized as their config.json says"
            yield view.problem(f"args.{flag}.{path}", value, "the profile without it", why, "replaces-config")
        elif name in POSITIONS and not highest:
            wanted = f"limits of the profile with a max of {length}, as far as it was measured"
            yield view.problem(f"args.{flag}.{path}", value, wanted, "it lifts what the checkpoint says of its context", "limit")
        elif name in POSITIONS and not (isinstance(value, int) and value <= min(highest)):
            yield view.problem(f"args.{flag}.{path}", value, f"at most {min(highest)}", f"limits has it as max of {length}", "limit")


def configuration(view: View) -> Iterator[Problem]:
    """What vLLM's configuration refuses before it loads (config/vllm.py, config/mamba.py; 0.22.1 and 0.30.0)."""
    args = view.args
    allocator = str(view.env.get("PYTORCH_CUDA_ALLOC_CONF", ""))
    stable = args.get("enable-sleep-mode") or args.get("enable-cumem-allocator")
    connector = value_of(args, "kv-transfer-config.kv_connector")
    if connector is not None and "expandable_segments:True" in allocator and not stable:
        why = f"memory that {connector} registers would move"
        yield view.problem("env.PYTORCH_CUDA_ALLOC_CONF", allocator, "no expandable_segments, or args.enable-sleep-mode", why, "excludes")
    if view.engine == "vllm" and args.get("enable-mamba-cache-stochastic-rounding"):
        dtype, why = args.get("mamba-ssm-cache-dtype"), "args.enable-mamba-cache-stochastic-rounding asks for it"
        if dtype != "float16":
            yield view.problem("args.mamba-ssm-cache-dtype", dtype, "float16", why, "needs")
        backend = args.get("mamba-backend", view.default("mamba-backend"))
        if backend == "triton":
            yield view.problem(
                "args.mamba-backend", backend, "flashinfer", f"{why}: Triton's kernel rounds on data center Blackwell alone", "needs"
            )
    if view.engine == "vllm" and args.get("async-scheduling"):
        method, padded = (value_of(args, f"speculative-config.{key}") for key in ("method", "disable_padded_drafter_batch"))
        why = "vLLM schedules ahead with EAGLE, MTP, a draft model or ngram_gpu alone"
        if method in ("ngram", "suffix"):
            yield view.problem("args.async-scheduling", True, f"false with speculative-config.method {method}", why, "excludes")
        if padded:
            wanted = "false with speculative-config.disable_padded_drafter_batch"
            yield view.problem("args.async-scheduling", True, wanted, "its batches are padded", "excludes")


def prefill(view: View) -> Iterator[Problem]:
    tokens, length = (_int(view.args.get(key)) for key in ("max-num-batched-tokens", "max-model-len"))
    if view.args.get("enable-chunked-prefill") is False and tokens and length and tokens < length:
        why = "without chunks the longest prompt is one step"
        yield view.problem("args.max-num-batched-tokens", tokens, f"at least {length}, which is args.max-model-len", why, "out-of-range")


def quantization(view: View) -> Iterator[Problem]:
    flag, name = (kind(str(value)) for value in (view.args.get("quantization", ""), view.repo))
    if flag and name and flag != name:
        why = f"the engine refuses or ruins weights that are quantized otherwise: the name says {name}"
        yield view.problem(
            "args.quantization",
            view.args["quantization"],
            f"the checkpoint's own, or the profile without it ({view.repo})",
            why,
            "quantization",
        )


def image_engine(view: View) -> Iterator[Problem]:
    imports = view.image.get("expect", {}).get("imports") if isinstance(view.image.get("expect"), Mapping) else None
    # One that names neither says nothing: its owner asks for other modules alone.
    if isinstance(imports, list) and view.engine in CONFIG and view.engine not in imports and set(CONFIG) & set(map(str, imports)):
        yield view.problem(
            "image", view.image_name, f"an image with {view.engine}", f"its image.yml imports {', '.join(map(str, imports))}", "image"
        )


AGREEMENTS: tuple[Callable[[View], Iterator[Problem]], ...] = (
    split,
    speculation,
    configuration,
    prefill,
    context,
    quantization,
    image_engine,
)


def check(view: View) -> list[Problem]:
    """Every pair that does not agree."""
    return [problem for rule in AGREEMENTS for problem in rule(view)]


def mods(used: Sequence[str], abouts: Mapping[str, Mapping[str, Any]], view: View) -> list[Problem]:
    """Mods against the engine, the image's version of it, and each other."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    problems = []
    taken: dict[str, str] = {}
    for index, name in enumerate(used):
        about = abouts.get(name, {})
        for job in dict.fromkeys((name, about.get("provides", name))):
            if job in taken:
                problems.append(view.problem(f"mods[{index}]", name, "one of them", f"{taken[job]} does the same", "mod"))
            taken[job] = name
        engines = about.get("engine")
        if not isinstance(engines, Mapping):
            continue
        if view.engine not in engines:
            wanted = f"a mod of {view.engine}"
            problems.append(view.problem(f"mods[{index}]", name, wanted, f"it changes {', '.join(engines)}", "mod"))
            continue
        try:
            version = Version(str(view.versions.get(view.engine, "")).removeprefix("=="))
            proven = SpecifierSet(str(engines[view.engine])).contains(version, prereleases=True)
        except (InvalidSpecifier, InvalidVersion):
            continue
        if not proven:
            why = f"it is proven with {view.engine} {engines[view.engine]}, and the image has {version}"
            problems.append(view.problem(f"mods[{index}]", name, "another image, or the mod proven anew", why, "mod"))
    return problems


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Dotted paths and what stands there, of a mapping in mappings."""
    if not isinstance(value, Mapping):
        if path:
            yield path[1:], value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{path}.{key}")


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def kind(text: str) -> str:
    """What a name or a flag says of the weights; empty for nothing."""
    return next((one for one in KINDS if one in text.lower()), "")
