"""A profile's flags against the engine's own tables, read as its parser reads them."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _rules
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _args, _engines, _flags
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml"))
TABLES = [(engine, version) for engine in _flags.engines() for version in _flags.versions(engine)]


def read(engine: str, version: str, args: dict[str, Any]) -> _args.Read:
    return _args.read(_engines.load(engine).DIALECT, _flags.table(engine, version), args, (), "p.yml")


# What no version of vLLM takes, and of what each says.
VLLM: list[tuple[str, Any, str]] = [
    ("max-num-seqss", 4, "an unknown flag of vllm serve {v}; wanted one of the long flags of vllm serve. Did you mean 'max-num-seqs'?"),
    ("max-num-seqs", "many", "found 'many'; wanted an integer"),
    ("max-num-seqs", 8.5, "found 8.5; wanted an integer"),
    ("max-num-seqs", 0, "found 0; wanted at least 1 (vllm {v})"),
    ("max-num-batched-tokens", "-1", "found -1; wanted at least 1 (vllm {v})"),
    ("gpu-memory-utilization", 1.01, "found 1.01; wanted at most 1 (vllm {v})"),
    ("gpu-memory-utilization", 0, "found 0; wanted more than 0 (vllm {v})"),
    ("video-pruning-rate", 1, "found 1; wanted less than 1.0 (vllm {v})"),
    ("speculative-config", {"num_speculative_tokens": 0}, "num_speculative_tokens: found 0; wanted more than 0 (vllm {v})"),
    ("speculative-config.num_speculative_tokens", "0", "num_speculative_tokens: found 0; wanted more than 0 (vllm {v})"),
    ("kv-cache-dtype", ["fp8", "auto"], "wanted one value: vllm serve takes no list here"),
    ("cudagraph-capture-sizes", [], "wanted at least one value"),
    ("compilation-config", [1], "wanted a mapping"),
    ("max-num-seqs", "0x10", "found '0x10'; wanted an integer"),
    ("block-size", {"a": 1}, "wanted"),
    ("max-num-seqs", [8, 16], "wanted one value: vllm serve takes no list here"),
    ("gpu-memory-utilization", "high", "found 'high'; wanted a number"),
    ("gpu-memory-utilization", float("nan"), "found nan; wanted a number"),
    ("max-model-len", "1.5K", "decimals only before powers of ten"),
    ("max-model-len", "256Ki", "wanted an integer, or one with k, m, g, t, K, M, G, T behind it"),
    ("kv-cache-dtype", "fp9", "(vllm {v}). Did you mean 'fp8'?"),
    ("kv-cache-dtype", "FP8", "wanted one of auto"),
    ("attention-backend", "flashinfr", "Did you mean 'flashinfer'?"),
    ("moe-backend", "cutlas", "Did you mean 'cutlass'?"),
    ("chat-template-content-format", "strings", "wanted one of auto, openai, string (vllm {v})"),
    ("speculative-config", {"method": "mtpp", "num_speculative_tokens": 2}, "speculative-config.method: found 'mtpp'; wanted one of"),
    ("speculative-config", {"num_speculativ_tokens": 2}, "fields of vllm {v}'s SpeculativeConfig. Did you mean 'num_speculative_tokens'?"),
    ("speculative-config", '{"method": "mtp"', "wanted a mapping, or its JSON text"),
    ("speculative-config", {"num_speculative_tokens": "two"}, "num_speculative_tokens: found 'two'; wanted an integer"),
    ("compilation-config.cudagraph_mode", "nothing", "found 'nothing'; wanted one of 0, 1, 2, full, full_and_piecewise"),
    ("compilation-config.cudagraf_mode", "none", "Did you mean 'cudagraph_mode'?"),
    (
        "compilation-config",
        {"pass_config": {"fuse_allreduce_rms": "perhaps"}},
        "pass_config.fuse_allreduce_rms: found 'perhaps'; wanted true",
    ),
    ("cudagraph-capture-sizes", [1, "two"], "found 'two'; wanted an integer"),
    ("enforce-eager", "true", "found 'true'; wanted true or false"),
    ("dtype.x", 1, "vllm serve has none of it"),
    ("quantization", {"method": "fp8"}, "wanted a text"),
    ("served_model_name", "x", "a flag that the plan sets; wanted the value in model.served_name"),
    ("tp", 4, "wanted the value in parallel.tensor"),
    ("no_enforce_eager", True, "wanted enforce-eager: false"),
]
SGLANG: list[tuple[str, Any, str]] = [
    ("mem-fraction-statik", 0.8, "an unknown flag of sglang.launch_server {v}; wanted one of the long flags"),
    ("mem_fraction_static", 0.8, "Did you mean 'mem-fraction-static'?"),
    ("mem-fraction-static", "much", "wanted a number"),
    ("chunked-prefill-size", "8k", "wanted an integer"),
    ("context-length", "256K", "wanted an integer, or one with k, M, G, T, Ki, Mi, Gi, Ti behind it"),
    ("attention-backend", "flash", "wanted one of"),
    ("quantization", "modelopt_fp5", "Did you mean 'modelopt_fp"),
    ("tool-call-parser", "qwen3_code", "Did you mean 'qwen3_coder'?"),
    ("trust-remote-code", False, "sglang.launch_server has no --no-trust-remote-code"),
    ("json-model-override-args.rope", 1, "sglang.launch_server has none of it"),
    ("mamba-ssm-dtype", ["float16", "float32"], "takes no list here"),
    ("ep", 2, "wanted the value in parallel.expert"),
    ("max-lora-chunk-size", 17, "wanted one of 16, 32, 64, 128"),
]


@pytest.mark.parametrize(("engine", "version"), TABLES)
def test_planted_mistakes_are_refused_in_words(engine: str, version: str) -> None:
    planted = {"vllm": VLLM, "sglang": SGLANG}[engine]
    assert len(planted) >= 10
    for key, value, words in planted:
        (problem,) = read(engine, version, {key: value}).problems
        text = str(problem)
        assert words.format(v=version) in text and f"args.{key}" in text, text
        assert len(text) <= 500


def test_bounds_hold_what_they_name(version: str = "0.22.1") -> None:
    for key, values in {"max-num-seqs": (1,), "gpu-memory-utilization": (0.001, 1), "video-pruning-rate": (0, 0.999)}.items():
        for value in values:
            assert read("vllm", version, {key: value}).problems == []
    config = {"method": "mtp", "num_speculative_tokens": "1", "draft_tensor_parallel_size": None}
    assert read("vllm", version, {"speculative-config": config}).args["speculative-config"]["num_speculative_tokens"] == 1


@pytest.mark.parametrize(
    ("version", "flag", "hint"),
    [
        ("0.22.1", "max-num-scheduled-tokens", "vllm 0.30.0 has it."),
        ("0.22.0", "mm-processor-device", "vllm 0.30.0 has it."),
        ("0.30.0", "calculate-kv-scales", "Removed after vllm 0.22.1."),
        ("0.30.0", "max-num-partial-prefills", "Removed after vllm 0.22.1."),
    ],
)
def test_a_flag_of_another_version_names_it(version: str, flag: str, hint: str) -> None:
    (problem,) = read("vllm", version, {flag: 1}).problems
    assert f"an unknown flag of vllm serve {version}" in str(problem) and (problem.hint, problem.code) == (hint, "flag-unknown")


def test_what_is_deprecated_or_a_plugins_is_a_warning() -> None:
    found = read("vllm", "0.22.1", {"calculate-kv-scales": True, "tool-call-parser": "mine", "reasoning-parser": "qwen33"})
    assert found.problems == []
    assert "deprecated in vllm 0.22.1" in found.warnings[0]
    assert "'mine' is none of vllm 0.22.1's own; a plugin must bring it." in found.warnings[1]
    assert found.warnings[2].endswith("Did you mean 'qwen3'?")
    found = read("sglang", "0.5.13", {"nsa-decode-backend": "fa3"})
    assert found.warnings == ["args.nsa-decode-backend: deprecated in sglang 0.5.13: the new name is dsa-decode-backend"]


@pytest.mark.parametrize("name", NAMES)
def test_every_flag_of_every_profile_is_known_as_it_is(name: str) -> None:
    """Read as its own image's version, nothing is refused, nothing warned of, and the values stay what was written."""
    profile = yaml.safe_load((ROOT / f"model_profiles/{name}.yml").read_text())
    image = yaml.safe_load((ROOT / f"files/images/{profile['image']}/image.yml").read_text())
    engine = profile["engine"]
    table, _note = _flags.pick(engine, _rules.pinned(image, engine))
    mods = [yaml.safe_load((ROOT / f"files/mods/{mod}/mod.yml").read_text()) for mod in profile.get("mods", [])]
    found = _args.read(_engines.load(engine).DIALECT, table, profile["args"], [flag for mod in mods for flag in mod.get("args", [])], "p")
    assert (found.problems, found.warnings) == ([], [])
    assert found.args == {
        **{key: value for key, value in profile["args"].items() if "." not in key},
        **({"compilation-config": {"cudagraph_mode": "none"}} if "compilation-config.cudagraph_mode" in profile["args"] else {}),
    }


@pytest.mark.parametrize(
    ("pinned", "version", "note"),
    [
        ("==0.30.0+cpu", "0.30.0", ""),
        ("==0.22.0", "0.22.0", ""),
        (
            "==0.22.1rc1.dev124+gace95c9cf.d20260603.cu132",
            "0.22.1",
            "no table of vllm 0.22.1rc1.dev124; its flags are read as those of 0.22.1",
        ),
        ("==0.23.0", "0.22.1", "no table of vllm 0.23.0; its flags are read as those of 0.22.1"),
        ("==0.10", "0.22.0", "no table of vllm 0.10; its flags are read as those of 0.22.0"),
        ("==0.99", "0.30.0", "no table of vllm 0.99; its flags are read as those of 0.30.0"),
        ("", "0.30.0", "the image pins no vllm; its flags are read as those of 0.30.0"),
        (">=0.22", "0.30.0", "the image asks for vllm >=0.22; its flags are read as those of 0.30.0"),
        ("~=0.22.0", "0.22.1", "the image asks for vllm ~=0.22.0; its flags are read as those of 0.22.1"),
        (">=0.22,<0.23", "0.22.1", "the image asks for vllm >=0.22,<0.23; its flags are read as those of 0.22.1"),
    ],
)
def test_the_table_is_the_images_or_says_whose(pinned: str, version: str, note: str) -> None:
    table, found = _flags.pick("vllm", pinned)
    assert (table.version, found) == (version, note)


def test_every_image_has_a_table_of_its_release() -> None:
    from packaging.version import Version

    for path in ROOT.glob("files/images/*/image.yml"):
        for engine in _flags.engines():
            pinned = _rules.pinned(yaml.safe_load(path.read_text()), engine)
            if pinned:
                assert Version(pinned.removeprefix("==")).base_version in _flags.versions(engine), path


def test_the_plan_names_the_version_that_it_read_flags_of(resolve: Any) -> None:
    notes = {name: resolve(name)["plan"]["skipped"] for name in ("qwen397-mtp2", "nemotron3-super-sglang", "sim-tiny-tp2")}
    assert [[text for text in found if text.startswith("flags")] for found in notes.values()] == [
        ["flags by version: no table of vllm 0.22.1rc1.dev124; its flags are read as those of 0.22.1"],
        ["flags by version: the image pins no sglang; its flags are read as those of 0.5.13"],
        [],
    ]


@pytest.mark.parametrize(
    ("engine", "args", "words"),
    [
        ("vllm", {"cudagraph-capture-sizes": [1, 2, 4]}, ["--cudagraph-capture-sizes", "1", "2", "4"]),
        ("vllm", {"cudagraph-capture-sizes": 4}, ["--cudagraph-capture-sizes", "4"]),
        ("vllm", {"allowed-origins": ["https://a", "https://b"]}, ["--allowed-origins", '["https://a","https://b"]']),
        ("vllm", {"lora-modules": [{"name": "a", "path": "/a"}, "b=/b"]}, ["--lora-modules", '{"name":"a","path":"/a"}', "b=/b"]),
        ("vllm", {"compilation-config.cudagraph_capture_sizes": [1, 2]}, ["--compilation-config.cudagraph_capture_sizes", "[1,2]"]),
        ("vllm", {"compilation-config.pass_config.fuse_norm_quant": True}, ["--compilation-config.pass_config.fuse_norm_quant", "true"]),
        ("vllm", {"enable-prefix-caching": False}, ["--no-enable-prefix-caching"]),
        ("vllm", {"middleware": ["a.b", "c.d"]}, ["--middleware", "a.b", "--middleware", "c.d"]),
        ("vllm", {"optimization-level": 3}, ["--optimization-level", "3"]),
        ("vllm", {"kv-transfer-config": '{"kv_buffer_size": 2k}'}, ["--kv-transfer-config", '{"kv_buffer_size":2000}']),
        ("sglang", {"cuda-graph-bs": [1, 2, 4]}, ["--cuda-graph-bs", "1", "2", "4"]),
        ("sglang", {"context-length": "512Ki"}, ["--context-length", "524288"]),
        ("sglang", {"lora-strict-loading": False}, ["--no-lora-strict-loading"]),
    ],
)
def test_words_are_what_the_parser_wants(engine: str, args: dict[str, Any], words: list[str]) -> None:
    found = read(engine, _flags.versions(engine)[-1], args)
    assert found.problems == []
    assert found.words == words


TEXT = st.text(st.characters(exclude_characters="\x00"), min_size=1).filter(lambda text: not text.startswith("-") and text != "None")
JSON = st.dictionaries(st.text(), st.integers(), min_size=1, max_size=3)


def values(spec: _flags.Spec) -> st.SearchStrategy[Any]:
    """What a profile may say of a flag."""
    kind = spec["type"]
    if kind in ("bool", "switch"):
        return st.booleans() if kind == "bool" else st.just(True)
    one: st.SearchStrategy[Any]
    if "choices" in spec and not spec.get("open"):
        one = st.sampled_from(spec["choices"])
    elif kind == "json":
        one = st.just({}) if "of" in spec else JSON
    else:
        # Within whatever bounds it may have; those are another test's.
        numbers, shares = (
            (st.integers(1, 10**9), st.floats(0.001, 0.999)) if {"ge", "gt"} & spec.keys() else (st.integers(0, 10**9), st.floats(0, 1))
        )
        one = {"int": numbers, "size": numbers, "size_or_auto": numbers, "float": shares, "json_or_str": JSON, "str": TEXT}[kind]
    if kind != "json" and (spec.get("nargs", "?") != "?" or spec.get("append")):
        return st.lists(one, min_size=1, max_size=3)
    return one


@pytest.mark.parametrize(("engine", "version"), TABLES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_argv_of_any_accepted_args(engine: str, version: str, data: Any) -> None:
    """Argparse itself, with the table's nargs, gives back what was asked for."""
    dialect, table = _engines.load(engine).DIALECT, _flags.table(engine, version)
    names = sorted(set(table.flags) - set(dialect.owned) - set(dialect.refused_args))
    args = {name: data.draw(values(table.flags[name])) for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=5))}
    found = read(engine, version, args)
    assert found.problems == []
    assert all(word and "\x00" not in word for word in found.words)
    assert shlex.split(shlex.join(found.words)) == found.words
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in args:
        spec = table.flags[name]
        if spec["type"] in ("bool", "switch"):
            parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(f"--{name}", **({"action": "append"} if "append" in spec else {"nargs": spec.get("nargs")}))
    parsed = vars(parser.parse_args(found.words))
    for name, value in found.args.items():
        taken = parsed[name.replace("-", "_")]
        wanted = [text(item) for item in value] if isinstance(value, list) and isinstance(taken, list) else text(value)
        assert taken == wanted


def text(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if isinstance(value, dict | list) else str(value)


@pytest.mark.parametrize(("engine", "version"), TABLES)
@given(
    key=st.sampled_from(
        ["speculative-config", "max-model-len", "cudagraph-capture-sizes", "kv-cache-dtype", "context-length", "a.b", "cc.x.y"]
    ),
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=12)
        | st.sampled_from(["1k", '{"a": 1}', "{", "[[", "NaN"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["method", "num_speculative_tokens", "x"]), inner),
        max_leaves=8,
    ),
)
@settings(max_examples=200, deadline=None)
def test_any_value_is_read_or_refused(engine: str, version: str, key: str, value: Any) -> None:
    found = read(engine, version, {key: value})
    assert bool(found.problems) or all(isinstance(word, str) for word in found.words)


@pytest.mark.parametrize(
    ("text", "found", "wanted"),
    [
        ('{"a":"\\ud800"}', "half a character (a lone surrogate)", "text that is Unicode"),
        ('{"a":"\\u202e"}', "a line break or control character in '\\u202e'", "text of one line"),
        ('{"a":' * 1300 + "1" + "}" * 1300, "more than 40 levels", "at most 40 levels"),
        ('{"a":' * 30 + "1" + "}" * 30, "more than 20 levels", "at most 20 levels"),
        ('{"a":1e400}', "'1e400'", "a finite number"),
        ('{"a":' + "1" * 5000 + "}", "an integer of 5000 digits", "one of at most 19"),
        ('{"a":1,"a":2}', "the key 'a' twice", "each key once"),
        ("{" + '\\"' * 30_000 + "}", None, "a mapping, or its JSON text"),
        ("{" + '\\"' * 30_000 + "\\", None, "a mapping, or its JSON text"),
    ],
)
@pytest.mark.parametrize("flag", ["hf-overrides", "compilation-config", "hf-overrides.b"])
def test_json_as_text_has_the_bounds_of_a_mapping(flag: str, text: str, found: str | None, wanted: str) -> None:
    """In no time: an expression that starts anew at each quote took 16 s for the last two."""
    started = time.process_time()
    problems = read("vllm", "0.30.0", {flag: text}).problems
    assert time.process_time() - started < 1
    if found is None and flag != "compilation-config":  # these take another text, too
        return
    (problem,) = problems
    assert (problem.found, problem.wanted) == (problem.found if found is None else found, wanted)


def test_tables_are_read_once(resolve: Any) -> None:
    resolve("qwen397-mtp2")
    misses = _flags.table.cache_info().misses, _flags.nccl.cache_info().misses
    resolve("qwen397-mtp2", override={"env": {"NCCL_DEBUG": "INFO"}})
    resolve("nemotron3-ultra")
    assert (_flags.table.cache_info().misses, max(1, misses[1])) == (misses[0], _flags.nccl.cache_info().misses)


def test_a_version_without_a_table_refuses_nothing_that_another_one_has(resolve: Any) -> None:
    old, new = (_flags.table("vllm", version) for version in ("0.22.1", "0.30.0"))
    added = next(name for name in sorted(new.flags) if name not in old.names and new.flags[name]["type"] == "int")
    between, note = _flags.pick("vllm", "==0.25.1")
    assert (between.version, note) == ("0.22.1", "no table of vllm 0.25.1; its flags are read as those of 0.22.1")

    def said(table: _flags.Table, args: dict[str, Any]) -> tuple[list[str], list[str]]:
        found = _args.read(_engines.load("vllm").DIALECT, table, args, (), "p.yml")
        return [problem.code for problem in found.problems], found.warnings

    # A candidate is of its release.
    for table in (old, _flags.pick("vllm", "==0.22.1rc1.dev124")[0]):
        assert said(table, {added: 1}) == (["flag-unknown"], [])
        assert said(table, {"kv-cache-dtype": "int3_of_tomorrow"}) == (["not-a-choice"], [])
    assert said(between, {added: 1}) == ([], [f"args.{added}: a flag of vllm 0.30.0, which 0.22.1 does not have"])
    codes, (warning,) = said(between, {"kv-cache-dtype": "int3_of_tomorrow"})
    assert codes == [] and "is none of vllm 0.22.1's own; the image's other version must bring it." in warning
    # A slip is one in every version, and so is what none has.
    assert said(between, {"attention-backend": "flashinfr"})[0] == ["not-a-choice"]
    assert said(between, {"max-num-seqss": 1})[0] == ["flag-unknown"]
    assert between.flags["max-num-seqs"] == old.flags["max-num-seqs"] and between.names["sc"] == "speculative-config"
    assert set(between.fields) == {*old.fields, *new.fields} and set(between.env) == {*old.env, *new.env}
