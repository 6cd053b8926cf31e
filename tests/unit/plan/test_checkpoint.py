"""Profiles against a checkpoint's own words, and the estimate of memory against the field reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _checkpoint, _resolve, _sources
from conftest import ROOT, edited, hostvars

SAMPLE = yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text())
# The shape of Qwen3.5-397B's config.json, as the reports describe it: 60 hybrid layers, 512 experts, one MTP layer.
CONFIG = {
    "architectures": ["Qwen3_5MoeForConditionalGeneration"],
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "text_config": {
        "max_position_embeddings": 262144, "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 256, "num_experts": 512,
        "num_hidden_layers": 60, "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 15,
        "mtp_num_hidden_layers": 1,
    },
}  # fmt: skip
TENSORS = ["model.layers.0.mlp.experts.0.down_proj.weight_scale", "mtp.fc.weight"]


def resolve(name: str, tmp_path: Path, config: Any = None, tensors: list[str] | None = None, **override: Any) -> Any:
    text = (ROOT / f"model_profiles/{name}.yml").read_text()
    repo = yaml.safe_load(text)["model"]["repo"]
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
        index = {"weight_map": dict.fromkeys(TENSORS if tensors is None else tensors, "x")}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    sources = _sources.read(name, checkpoints={repo: str(tmp_path)})
    variables = hostvars(**SAMPLE)
    if "limits" in override:
        sources = edited(sources, limits=override.pop("limits"))
    return _resolve.resolve(sources, variables, list(variables), override)


def skipped(plan: Any) -> list[str]:
    """Without the note on the engine's version, which has nothing to do with a checkpoint."""
    return [text for text in plan["skipped"] if not text.startswith("flags by version: ")]


def changed(**values: Any) -> dict[str, Any]:
    return {**CONFIG, "text_config": {**CONFIG["text_config"], **values}}  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["qwen397-mtp2", "nex-n2-pro"])
def test_a_fitting_checkpoint_passes_and_nothing_is_skipped(tmp_path: Path, name: str) -> None:
    found = resolve(name, tmp_path, CONFIG)
    assert found["problems"] == []
    assert skipped(found["plan"]) == []


def test_without_a_checkpoint_the_skipped_checks_are_named(tmp_path: Path) -> None:
    plan = resolve("sim-tiny-tp2", tmp_path)["plan"]
    assert len(skipped(plan)) == len(_checkpoint.CHECKS)


def test_what_is_published_is_compared_where_no_checkpoint_is_at_hand(tmp_path: Path) -> None:
    plan = resolve("nex-n2-pro", tmp_path)["plan"]
    assert skipped(plan) == ["block-quantized scales: only the checkpoint's index tells"]
    (problem,) = resolve("qwen397-mtp2", tmp_path, args={"max-model-len": 262145}, limits=[])["problems"]
    assert "huggingface.co/Qwen/Qwen3.5-397B-A17B-FP8/config.json [out-of-range]" in problem
    changes = {"max-model-len": 262145, "hf-overrides": {"max_position_embeddings": 262144}}
    lifted = [{"arg": "max-model-len", "max": 300_000, "because": "x"}]
    (problem,) = resolve("qwen397-mtp2", tmp_path, args=changes, limits=lifted)["problems"]
    assert "huggingface.co/Qwen/Qwen3.5-397B-A17B-FP8/config.json with args.hf-overrides [out-of-range]" in problem


def test_a_checkpoint_at_hand_counts_and_its_differences_are_said(tmp_path: Path) -> None:
    assert not any("published" in text for text in resolve("qwen397-mtp2", tmp_path, CONFIG)["plan"]["warnings"])
    plan = resolve("qwen397-mtp2", tmp_path, changed(num_hidden_layers=61, num_experts=256))["plan"]
    (said,) = [text for text in plan["warnings"] if "published" in text]
    assert said.endswith("text_config.num_experts 256 (published: 512), text_config.num_hidden_layers 61 (published: 60)")
    far = {"text_config": dict.fromkeys(_checkpoint.known("Qwen/Qwen3.5-397B-A17B-FP8", None)["config"]["text_config"], 7)}  # type: ignore[index]
    (said,) = _checkpoint.differences("Qwen/Qwen3.5-397B-A17B-FP8", {"path": "/m", "config": far, "tensors": None})
    assert said.count("published: ") == 5
    assert said.endswith(", and 14 more")
    for count in (5, 6, 7):
        some = {"text_config": dict(list(far["text_config"].items())[:count])}
        (said,) = _checkpoint.differences("Qwen/Qwen3.5-397B-A17B-FP8", {"path": "/m", "config": some, "tensors": None})
        assert (said.count("(published: "), said.partition(", and ")[2]) == (5, f"{count - 5} more" if count > 5 else "")
    assert _checkpoint.differences("Qwen/Qwen3.5-397B-A17B-FP8", None) == []


@pytest.mark.parametrize(("repo", "none"), [("nex-agi/Nex-N2-Pro-fp8", False), ("a/b", True)])
def test_a_checkpoint_at_hand_wins(repo: str, none: bool) -> None:
    own: Any = {"path": "/m", "config": {}, "tensors": []}
    assert _checkpoint.known(repo, own) is own
    assert (_checkpoint.known(repo, None) is None) is none


@pytest.mark.parametrize(
    ("key", "value", "tensor", "keys"),
    [
        *[
            ("linear_num_key_heads", 6, 4, 1),
            ("linear_num_value_heads", 6, 4, 1),
            ("mamba_num_heads", 6, 4, 1),
            ("mamba_num_heads", 8, 4, 0),
        ],
        # Fewer heads of keys and values are replicated, if each has as many ranks.
        *[("num_key_value_heads", value, 4, keys) for value, keys in ((1, 0), (2, 0), (3, 1), (4, 0), (6, 1), (8, 0))],
    ],
)
def test_ranks_divide_every_kind_of_heads(key: str, value: int, tensor: int, keys: int) -> None:
    config = {"num_attention_heads": 8, key: value}
    assert checked(config, parallel={"tensor": tensor})[0] == ["parallel.tensor"] * keys


@pytest.mark.parametrize(
    ("name", "config", "tensors", "message"),
    [
        ("qwen397-mtp2", changed(max_position_embeddings=131072), None, "args.max-model-len: found 262144; wanted at most 131072"),
        ("qwen397-mtp2", changed(num_attention_heads=30), None, "parallel.tensor: found 4; wanted a divisor of 30"),
        ("qwen397-mtp2", changed(mtp_num_hidden_layers=0), ["model.x"], "but no MTP layer in"),
        ("nex-n2-pro", CONFIG, ["model.layers.0.mlp.experts.0.down_proj.weight_scale_inv"], "wanted tensors *.experts.*.weight_scale"),
        ("nex-n2-pro", {**CONFIG, "quantization_config": {"quant_method": "fp8"}}, None, "It would corrupt a per-tensor FP8 checkpoint"),
    ],
)
def test_each_disagreement_is_named(tmp_path: Path, name: str, config: Any, tensors: Any, message: str) -> None:
    found = resolve(name, tmp_path, config, tensors)
    (problem,) = found["problems"]
    assert message in problem


def checked(config: Any, tensors: Any = TENSORS, mods: Any = None, **profile: Any) -> tuple[list[str], list[str]]:
    """(keys of the problems, names of the skipped checks) of a profile on two ranks."""
    whole: Any = {"parallel": {"tensor": 2}, **profile} | ({"mods": mods} if mods else {})
    found, skipped = _checkpoint.check(whole, {"config": config, "tensors": tensors, "path": "/m"}, "p")
    assert {problem.where for problem in found} <= {"p"}
    return [problem.key for problem in found], [text.split(":")[0] for text in skipped]


FLAT = {"max_position_embeddings": 8, "num_attention_heads": 4}


@pytest.mark.parametrize("flag", ["max-model-len", "context-length"])
@pytest.mark.parametrize(("length", "lifted", "keys"), [(8, {}, 0), (9, {}, 1), ("9", {}, 0), (9, "x", 1)])
def test_a_context_is_at_most_the_checkpoints(flag: str, length: Any, lifted: Any, keys: int) -> None:
    args = {flag: length, "json-model-override-args": lifted}
    assert checked(FLAT, args=args) == ([f"args.{flag}"] * keys, [])
    # What the nested part lacks may stand outside of it.
    nested = {"max_position_embeddings": 8, "text_config": {"num_attention_heads": 4}}
    assert checked(nested, args=args) == ([f"args.{flag}"] * keys, [])
    for changes in ("json-model-override-args", "hf-overrides"):
        assert checked(FLAT, args={flag: length, changes: {"max_position_embeddings": 9}}) == ([], [])
        assert checked(FLAT, args={flag: 10, changes: {"max_position_embeddings": 9}}) == ([f"args.{flag}"], [])


@pytest.mark.parametrize("value", [0, -1, True, "8", None])
def test_what_is_no_number_says_nothing(value: Any) -> None:
    config = {"max_position_embeddings": value, "num_attention_heads": value}
    assert checked(config, args={"max-model-len": 9}) == ([], ["context length", "tensor parallel"])
    assert checked({key: 1 for key in config}, parallel={"tensor": 1}) == ([], [])


@pytest.mark.parametrize(
    ("experts", "keys"),
    [
        *[({"num_experts": 4}, 0), ({"n_routed_experts": 4}, 0), ({"num_local_experts": 5}, 1), ({"num_experts": 0}, 1), ({}, 1)],
        *[({"moe_num_experts": 4}, 0), ({"moe_num_experts": [3, 4]}, 0), ({"moe_num_experts": [4, 5, None]}, 1), ({"num_experts": []}, 1)],
        *[({"block_configs": [{"n_routed_experts": 4}, {}, 1]}, 0), ({"block_configs": [{"n_routed_experts": 5}]}, 1)],
    ],
)
def test_ranks_divide_heads_and_experts(experts: dict[str, int], keys: int) -> None:
    assert checked({**FLAT, **experts}, parallel={"tensor": 2, "expert": 2})[0] == ["parallel.expert"] * keys
    assert checked({**FLAT, **experts}, parallel={"tensor": 3, "expert": 1})[0] == ["parallel.tensor"]
    for nested in ({"llm_config": experts}, {"language_config": experts}, {"thinker_config": {"text_config": experts}}):
        assert checked({**FLAT, **nested}, parallel={"tensor": 2, "expert": 2})[0] == ["parallel.expert"] * keys


@pytest.mark.parametrize(
    ("config", "tensors", "has"),
    [
        *[
            ({key: value}, [], value > 0)
            for key in ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
            for value in (1, 0)
        ],
        *[({}, [name], has) for name, has in (("mtp.fc", True), ("model.mtp.fc", True), ("xmtp.fc", False))],
    ],
)
def test_mtp_needs_its_layers(config: Any, tensors: list[str], has: bool) -> None:
    for method, wants in (("mtp", True), ("qwen3_next_mtp", True), ("eagle", False)):
        args = {"speculative-config": {"method": method}}
        assert checked(config, tensors, args=args)[0] == ["args.speculative-config.method"] * (wants and not has)
    assert checked(config, tensors, args={"speculative-config": "mtp"})[0] == []


@pytest.mark.parametrize(
    ("tensor", "quantization", "count"),
    [
        *[("a.experts.0.weight_scale", {"weight_block_size": [1]}, 0), ("a.experts.0.weight_scale_inv", {"weight_block_size": [1]}, 1)],
        *[
            ("a.0.weight_scale", {"weight_block_size": [1]}, 1),
            ("a.experts.0.weight_scale", {}, 1),
            ("a.weight_scale", "weight_block_size", 2),
        ],
    ],
)
def test_the_fp8_loader_wants_block_scales_of_experts(tensor: str, quantization: Any, count: int) -> None:
    config = {"quantization_config": quantization}
    assert checked(config, [tensor], mods=["nex-fp8-loader"])[0] == ["mods"] * count
    assert checked(config, [tensor], mods=["other"])[0] == []


def test_expert_parallel_needs_experts(tmp_path: Path) -> None:
    (problem,) = resolve("qwen397-mtp2", tmp_path, changed(num_experts=None), parallel={"expert": 4})["problems"]
    assert "names no experts" in problem
    # vLLM gives two of them one more, unless it balances them.
    assert resolve("qwen397-mtp2", tmp_path, changed(num_experts=510), parallel={"expert": 4})["problems"] == []
    args = {"enable-eplb": True}
    (problem,) = resolve("qwen397-mtp2", tmp_path, changed(num_experts=510), parallel={"expert": 4}, args=args)["problems"]
    assert "a divisor of 510" in problem


def test_a_config_that_says_nothing_is_skipped_not_passed(tmp_path: Path) -> None:
    plan = resolve("qwen397-mtp2", tmp_path, {}, TENSORS)["plan"]
    assert [text.split(":")[0] for text in skipped(plan)] == ["context length", "tensor parallel"]


def test_weights_beyond_the_budget_are_refused_with_the_order(tmp_path: Path) -> None:
    (problem,) = resolve("qwen397-mtp2", tmp_path, parallel={"tensor": 2})["problems"]
    assert problem.startswith("command line: override.parallel.tensor: found 186.59 GiB of weights per rank")
    # A launch that does not change it, beside a file that cannot work either: the file's.
    text = "model_profiles/qwen397-mtp2.yml: memory: found 186.59 GiB of weights per rank"
    sources = edited(_sources.read("qwen397-mtp2"), parallel={"tensor": 2})
    (other,) = _resolve.resolve(sources, hostvars(**SAMPLE), list(hostvars()), {"args": {"max-num-seqs": 8}})["problems"]
    assert text in other
    assert "speculation, then max-num-seqs" in problem


@pytest.mark.parametrize(
    ("method", "stated", "refused"),
    [
        *[(method, "compressed-tensors", True) for method in ("gptq", "awq", "fp8", "modelopt_fp4", "bitsandbytes")],
        *[("compressed-tensors", "compressed_tensors", False), ("gptq_marlin", "gptq", False), ("awq_marlin", "awq", False)],
        *[("modelopt_fp4", "modelopt", False), ("modelopt", "modelopt", False), ("fp8", "modelopt", True), ("fp8", "fp8", False)],
        # What reads several, what nobody says, and what nobody knows.
        *[("moe_wna16", "gptq", False), ("w8a8_fp8", "compressed-tensors", False), ("", "gptq", False), ("fp8", "", False)],
        *[("gptq", 4, False), ("gptq", "of_tomorrow", False)],
    ],
)
def test_weights_are_quantized_in_one_way(method: str, stated: Any, refused: bool) -> None:
    args = {"quantization": method} if method else {}
    for config in ({"quantization_config": {"quant_method": stated}}, {"text_config": {"compression_config": {"quant_method": stated}}}):
        assert checked(config, args=args)[0] == ["args.quantization"] * refused
    assert checked({"quantization_config": "gptq"}, args=args)[0] == []


@pytest.mark.parametrize(
    ("sizes", "parallel", "refused"),
    [
        # Qwen3-30B-A3B-FP8: a quarter of 768 is one block and a half.
        *[({"moe_intermediate_size": 768}, {"tensor": tensor}, refused) for tensor, refused in ((1, False), (2, False), (4, True))],
        *[({"moe_intermediate_size": 768}, {"tensor": 4, "expert": expert}, refused) for expert, refused in ((4, False), (2, False))],
        *[({"moe_intermediate_size": 640}, {"tensor": 2, "expert": expert}, expert == 1) for expert in (1, 2)],
        *[({"moe_intermediate_size": 1024}, {"tensor": 4}, False), ({"intermediate_size": 1536}, {"tensor": 8}, True)],
        ({"intermediate_size": 1536, "num_local_experts": None}, {"tensor": 8}, False),
    ],
)
def test_no_expert_is_cut_within_a_block(sizes: dict[str, Any], parallel: dict[str, int], refused: bool) -> None:
    for sides, blocks in (([128, 128], True), ([128], True), ([], False), ([True], False), ("128", False), ([0, 128], False)):
        config = {"num_local_experts": 8, **sizes, "quantization_config": {"quant_method": "fp8", "weight_block_size": sides}}
        assert checked(config, parallel=parallel)[0] == ["parallel.tensor"] * (refused and blocks)
    config["quantization_config"] = {"quant_method": "other", "weight_block_size": [128, 128]}
    assert checked(config, parallel=parallel)[0] == []


@pytest.mark.parametrize(
    ("size", "sides", "hidden", "expert", "later"),
    [
        # Qwen3-30B-A3B-FP8 over four ranks: 192 are three blocks of 64.
        *[(768, [128, 128], hidden, 1, True) for hidden in (2048, None, 2048 + 64, 2048 + 32)],
        # Over blocks of 32, no less: of the share, of the hidden states, or of the block itself.
        *[(4 * 96, [128, 128], 2048, 1, True), (4 * 80, [128, 128], 2048, 1, False), (768, [128, 128], 2048 + 16, 1, False)],
        *[(4 * 96, [64, 64], 2048, 1, True), (4 * 96, [128, 16], 2048, 1, False), (4 * 31, [31, 62], 31, 1, False)],
        # Ranks that hold experts whole cut no rows of the other matrix; parts that are not whole are no shares.
        *[(192, [64, 128], 2048, 4, None), (4 * 192, [64, 128], 2048, 1, True)],
        *[(768, [1, 128], 2048, 1, False), (770, [128, 128], 2048, 1, False)],
    ],
)
def test_later_vllm_splits_a_block(size: int, sides: list[int], hidden: int | None, expert: int, later: bool | None) -> None:
    config = {"num_experts": 8, "moe_intermediate_size": size, "quantization_config": {"quant_method": "fp8", "weight_block_size": sides}}
    checkpoint: Any = {"path": "/m", "config": {**config, "hidden_size": hidden}, "tensors": []}
    for engine, version, taken in (("vllm", "0.22.1", False), ("vllm", "0.30.0", bool(later)), ("sglang", "0.5.13", False)):
        profile: Any = {"engine": engine, "parallel": {"tensor": 4, "expert": expert}}
        found = [problem.key for problem in _checkpoint.check(profile, checkpoint, "p", version)[0]]
        assert found == ["parallel.tensor"] * (later is not None and not taken), (engine, version)
