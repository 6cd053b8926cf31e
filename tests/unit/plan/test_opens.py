"""What the engines' parsers take and their code does not: numbers without a bound, names without a file, flags that need another."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _checkpoint, _rules
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _args, _engines, _flags, _opens

TABLES = [(engine, version) for engine in _flags.engines() for version in _flags.versions(engine)]


def problems(engine: str, args: dict[str, Any], version: str = "") -> list[str]:
    dialect, table = _engines.load(engine).DIALECT, _flags.table(engine, version or _flags.versions(engine)[0])
    found = _args.read(dialect, table, args, (), "p.yml")
    return [str(one) for one in [*found.problems, *_opens.check(dialect, found.args, (), "p.yml")]]


# Engine, a flag with others, values that it takes and those that it does not.
BOUNDS: list[tuple[str, str, dict[str, Any], list[Any], list[Any]]] = [
    ("vllm", "numa-bind-nodes", {"numa-bind": True}, [[0], [0, 1], 3], [[-1], [0, -2], -1]),
    (
        *("vllm", "limit-mm-per-prompt", {}),
        [{"image": 0}, {"image": 4, "video": {"count": 0, "num_frames": 8}}, '{"image": 2}'],
        [{"image": -1}, {"video": {"count": -1}}, '{"image": -1}'],
    ),
    ("vllm", "distributed-timeout-seconds", {}, [1, 3600], [0, -1]),
    ("vllm", "block-size", {}, [16, 32, 64, 128, 2096, "16"], [7, 0, -16, 8, 24.5, "abc"]),
    ("vllm", "api-server-count", {}, [1, 4], [0]),
    ("sglang", "page-size", {}, [1, 16, 64, 2048], [0, -1, 3, 48]),
    ("sglang", "page-size", {"chunked-prefill-size": 6144}, [1, 3, 48], [5, 4096]),
    ("sglang", "page-size", {"chunked-prefill-size": -1}, [1, 3], [0]),
    ("sglang", "max-running-requests", {}, [1, 48], [0, -1]),
    ("sglang", "context-length", {}, [1, 262144], [0, -1]),
]


@pytest.mark.parametrize(("engine", "key", "more", "good", "bad"), BOUNDS)
def test_what_no_parser_bounds(engine: str, key: str, more: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    for version in _flags.versions(engine):
        assert [problems(engine, {**more, key: value}, version) for value in good] == [[]] * len(good)
        for value in bad:
            found = problems(engine, {**more, key: value}, version)
            assert found and all(f"args.{key}" in text and "wanted" in text for text in found)


def test_a_bound_says_which_part() -> None:
    (text,) = problems("vllm", {"limit-mm-per-prompt": {"image": 1, "video": {"count": -2}}})
    assert text == "p.yml: args.limit-mm-per-prompt.video.count: found -2; wanted at least 0 [out-of-range]"
    (text,) = problems("sglang", {"page-size": 3})
    assert "wanted a power of two, as args.chunked-prefill-size is one unless it is said" in text
    (text,) = problems("sglang", {"page-size": 3, "chunked-prefill-size": 8192})
    assert "wanted a divisor of args.chunked-prefill-size, 8192" in text
    # Switches are no numbers.
    assert problems("vllm", {"limit-mm-per-prompt": {"image": True}}) == []


@pytest.mark.parametrize(("version", "refused"), [("0.22.0", True), ("0.22.1", True), ("0.30.0", False)])
def test_ranks_of_a_split_context_are_needed_to_talk(version: str, refused: bool) -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _agreement

    def keys(args: dict[str, Any]) -> list[str]:
        profile = {"engine": "vllm", "parallel": {"tensor": 4}, "args": args}
        return [one.key for one in _agreement.check(_rules.view(profile, {"expect": {"versions": {"vllm": f"=={version}"}}}, "p"))]

    assert keys({"dcp-comm-backend": "a2a"}) == ["args.dcp-comm-backend"] * refused
    assert keys({"dcp-comm-backend": "a2a", "decode-context-parallel-size": 1}) == ["args.dcp-comm-backend"] * refused
    assert keys({"dcp-comm-backend": "a2a", "decode-context-parallel-size": 2}) == keys({"dcp-comm-backend": "ag_rs"}) == []


@pytest.mark.parametrize(
    ("engine", "value", "refused"),
    [
        *[("vllm", value, True) for value in ("zzz", "template_chatml", "x/y.jinja", "../x.jinja")],
        *[("vllm", value, False) for value in ("template_chatml.jinja", "{{ messages }}", "/root/.cache/huggingface/a/b/chat.jinja")],
        *[("sglang", "qwen2-vl", False), ("sglang", "x/y.jinja", True), ("sglang", "/root/.cache/huggingface/a/b/chat.jinja", False)],
    ],
)
def test_a_template_is_a_file_its_text_or_the_engines_own(engine: str, value: str, refused: bool) -> None:
    assert ["[path]" in text for text in problems(engine, {"chat-template": value})] == [True] * refused


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        *[("load-format", value, True) for value in ("safetensor", "safetensorss", "Safetensor", "safetemsors", "safe-tensors")],
        # Nobody's slip: another name, a shorter one, and a version that a newer engine or a plugin may have.
        *[("load-format", value, False) for value in ("mine", "ht", "saftensor", "safetensors", "SAFETENSORS", "x" * 10**6)],
        *[("tool-call-parser", value, False) for value in ("qwen33_coder", "glm48", "hermes2", "qwen3_coder")],
        *[("tool-call-parser", value, True) for value in ("qwen3-coder", "herms")],
    ],
)  # fmt: skip
def test_one_letter_off_a_name_is_a_slip(key: str, value: str, refused: bool) -> None:
    found = problems("vllm", {key: value}, "0.22.1")
    assert ["[not-a-choice]" in text and "Did you mean" in text for text in found] == [True] * refused


YARN = {"rope_type": "yarn", "factor": 4.0}


@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_a_factor_that_nothing_bounds_is_told(key: str) -> None:
    def told(args: dict[str, Any], config: Any = None, limits: Any = ()) -> int:
        profile: Any = {"args": args, "limits": limits}
        found = _checkpoint.unchecked(profile, None if config is None else {"path": "/m", "config": config, "tensors": None})
        assert all(f"{key} with factor 4.0 lengthens a context" in text for text in found)
        return len(found)

    lifted = {"hf-overrides": {key: YARN}, "max-model-len": 131072}
    assert told(lifted) == told(lifted, config={}) == 1
    assert told({"hf-overrides": {"text_config": {key: YARN}}}) == told({"json-model-override-args": {key: YARN}}) == 1
    assert told(lifted, limits=[{"arg": "max-num-seqs", "max": 8}]) == told(lifted, limits=[{"arg": "max-model-len", "min": 1}]) == 1
    # It is bounded, or there is no factor.
    assert told(lifted, config={"max_position_embeddings": 32768}) == told(lifted, limits=[{"arg": "max_model_len", "max": 131072}]) == 0
    assert told({"hf-overrides": {key: {"rope_type": "default"}}}) == told({"hf-overrides": {key: 4}}) == told({}) == 0
