"""What is compared with a limit is what the engine would have read, however it is spelt, said or left out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _memory, _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _engines, _flags, _limits
from conftest import edited, hostvars


def resolve(name: str, override: dict[str, Any], **own: Any) -> _resolve.Resolved:
    """`own`: keys that the profile itself has otherwise."""
    variables = hostvars()
    return _resolve.resolve(edited(_sources.read(name), **own), variables, list(variables), override, True)


# (profile, its key left out, the same in another spelling, the problem): each exceeds a limit or a rule.
DODGES: list[tuple[str, str | None, dict[str, Any], str]] = [
    ("qwen397-mtp2", "max-model-len", {"max-model-len": "1M"}, "args.max-model-len: found 1048576; wanted at most 262144"),
    ("qwen397-mtp2", "max-model-len", {"max-model-len": "300k"}, "found 300000; wanted at most 262144"),
    ("qwen397-mtp2", "max-model-len", {"max-model-len": "1000000"}, "found 1000000; wanted at most 262144"),
    ("qwen397-mtp2", "max-model-len", {"max_model_len": 1000000}, "found 1000000; wanted at most 262144"),
    ("qwen397-mtp2", "max-model-len", {"max-model-len": "auto"}, "found 'auto'; wanted at most 262144"),
    ("qwen397-mtp2", "max-model-len", {"max-model-len": -1}, "found 'auto'; wanted at most 262144"),
    ("qwen397-mtp2", None, {"model-loader-extra-config": '{"num_threads": NaN}'}, "found 'NaN'; wanted a finite number"),
    ("qwen397-mtp2", None, {"max_model_len": 1000000}, "the same flag as args.max-model-len; wanted one of them"),
    ("qwen397-mtp2", "gpu-memory-utilization", {"gpu-memory-utilization": "0.95"}, "found 0.95; wanted more than 0 and at most 0.90"),
    ("qwen397-mtp2", "gpu-memory-utilization", {"gpu-memory-utilization": "9.5e-1"}, "found 0.95; wanted more than 0 and at most 0.90"),
    (
        "qwen397-mtp2",
        "speculative-config",
        {"speculative-config": '{"method": "qwen3_next_mtp", "num_speculative_tokens": 5}'},
        "args.speculative-config.num_speculative_tokens: found 5; wanted at most 2",
    ),
    (
        "qwen397-mtp2",
        "speculative-config",
        {"speculative-config": {"method": "qwen3_next_mtp", "num_speculative_tokens": "5"}},
        "args.speculative-config.num_speculative_tokens: found 5; wanted at most 2",
    ),
    (
        "qwen397-mtp2",
        "speculative-config",
        {"speculative_config.method": "qwen3_next_mtp", "speculative_config.num_speculative_tokens": "5"},
        "args.speculative-config.num_speculative_tokens: found 5; wanted at most 2",
    ),
    (
        "qwen397-mtp2",
        "speculative-config",
        {"sc": {"method": "qwen3_next_mtp", "num_speculative_tokens": 5}},
        "args.speculative-config.num_speculative_tokens: found 5; wanted at most 2",
    ),
    ("qwen397-mtp2", None, {"speculative-config.num_speculative_tokens": 5}, "the same flag as args.speculative-config; wanted one"),
    (
        "nemotron3-ultra",
        "compilation-config",
        {"cc": '{"pass_config": {"fuse_allreduce_rms": "yes"}}'},
        "args.compilation-config.pass_config.fuse_allreduce_rms: found True; wanted False",
    ),
    (
        "nemotron3-ultra",
        "compilation-config",
        {"compilation-config.pass_config": {"fuse_allreduce_rms": True}},
        "args.compilation-config.pass_config.fuse_allreduce_rms: found True; wanted False",
    ),
    ("nemotron3-ultra", "moe-backend", {"moe-backend": "Triton"}, "found 'triton'; wanted 'flashinfer_cutlass'"),
    ("nemotron3-ultra", "gpu-memory-utilization-gb", {"gpu-memory-utilization-gb": "109.5"}, "found 109.5; wanted at most 108"),
    ("nemotron3-ultra", "gpu-memory-utilization-gb", {"gpu-memory-utilization-gb": "much"}, "found 'much'; wanted a number"),
    ("nemotron3-ultra", "max-num-batched-tokens", {"max_num_batched_tokens": "16K"}, "found 16384; wanted at most 8192"),
    ("nemotron3-super-sglang", "speculative-num-steps", {"speculative-num-steps": "5"}, "found 5; wanted at most 3"),
]


@pytest.mark.parametrize(("name", "instead", "args", "words"), DODGES)
def test_no_spelling_gets_past_a_limit(name: str, instead: str | None, args: dict[str, Any], words: str) -> None:
    more = (
        {"limits": [{"arg": "model-loader-extra-config.num_threads", "max": 16, "because": "x"}]}
        if "model-loader-extra-config" in args
        else {}
    )
    found = resolve(name, {"args": {**({instead: None} if instead else {}), **args}}, **more)
    assert any(words in problem for problem in found["problems"]), found["message"]


def test_within_the_limit_every_spelling_is_the_same_plan() -> None:
    def words(args: dict[str, Any]) -> list[str]:
        plan = resolve("qwen397-mtp2", {"args": args})["plan"]
        assert plan is not None
        return plan["nodes"][0]["engine"]["argv"]  # type: ignore[index]

    asked = {"max-model-len": None, "gpu-memory-utilization": None, "moe_backend": "Flashinfer-Cutlass", "q": "fp8"}
    asked |= {"max_model_len": "256K", "gpu_memory_utilization": "0.90", "attention-backend": "FLASHINFER"}
    argv = words(asked)
    for pair in (
        ("--max-model-len", "262144"),
        ("--gpu-memory-utilization", "0.9"),
        ("--attention-backend", "flashinfer"),
        ("--moe-backend", "flashinfer_cutlass"),
        ("--quantization", "fp8"),
    ):
        assert argv[argv.index(pair[0]) + 1] == pair[1]
    assert argv[argv.index("--compilation-config.cudagraph_mode") + 1] == "none"


def test_a_limit_is_read_as_the_flag_is() -> None:
    limits = [{"arg": "cc.cudagraph_mode", "equals": "NONE", "because": "x"}, {"arg": "max_num_seqs", "max": 8, "because": "it broke"}]
    (problem,) = resolve("qwen397-mtp2", {}, limits=limits)["problems"]
    assert "args.max-num-seqs: found 16; wanted at most 8. Reason: it broke." in problem
    equal = [{"arg": "gpu-memory-utilization-gb", "equals": 108, "because": "x"}, {"arg": "max-num-seqs", "equals": "6", "because": "x"}]
    assert resolve("nemotron3-ultra", {}, limits=equal)["problems"] == []
    never = [{"arg": "speculative-config.num_spec_tokens", "max": 2, "because": "x"}]
    (problem,) = resolve("qwen397-mtp2", {}, limits=never)["problems"]
    assert "limits[0].arg: found 'num_spec_tokens'; wanted one of the fields of vllm 0.22.1's SpeculativeConfig." in problem
    (problem,) = resolve("qwen397-mtp2", {}, limits=[{"arg": "max-num-seq", "max": 8, "because": "x"}])["problems"]
    assert "limits[0].arg: found 'max-num-seq'; wanted a flag of vllm 0.22.1. Did you mean 'max-num-seqs'?" in problem


def test_a_variables_text_is_compared_as_a_number() -> None:
    limits = [{"env": "OMP_NUM_THREADS", "max": 2, "because": "two cores"}]
    (problem,) = resolve("qwen397-mtp2", {}, limits=limits)["problems"]
    assert "env.OMP_NUM_THREADS: found '4'; wanted at most 2" in problem


def test_memory_is_computed_from_what_the_engine_reads() -> None:
    for value in (0.85, "0.85"):
        memory = resolve("qwen397-mtp2", {"args": {"gpu-memory-utilization": value}})["plan"]["memory"]  # type: ignore[index]
        assert memory["budget_gib"] == round(0.85 * _memory.TOTAL_GIB, 2)


# The comparison itself, without a profile around it.
DIALECT, TABLE = _engines.load("vllm").DIALECT, _flags.table("vllm", "0.22.1")


def broken(limit: dict[str, Any], args: Any = None, env: Any = None) -> list[tuple[str, str, str]]:
    stated = {"because": "it broke", **limit}
    found = _limits.check(DIALECT, TABLE, _limits.entry(DIALECT, TABLE, stated, ("of-a-mod",)), args or {}, env or {}, "p.yml")
    assert all((one.where, one.hint, one.code) == ("p.yml", "Reason: it broke.", "limit") for one in found)
    return [(one.key, one.found, one.wanted) for one in found]


@pytest.mark.parametrize(
    ("limit", "within", "beyond"),
    [
        ({"max": 8}, (1, 8), ((9, "at most 8"), (8.001, "at most 8"))),
        ({"min": 8}, (8, 9), ((7, "at least 8"), (0, "at least 8"))),
        ({"min": 4, "max": 8}, (4, 8), ((3, "at least 4"), (9, "at most 8"))),
        ({"max": 0}, (0, -1), ((1, "at most 0"),)),
        ({"equals": 8}, (8,), ((7, "8"), (9, "8"))),
    ],
)
def test_a_limit_holds_at_its_bound_and_not_beyond(limit: Any, within: Any, beyond: Any) -> None:
    for kind, name in (("arg", "max-num-seqs"), ("env", "OMP_NUM_THREADS")):
        for value in within:
            assert broken({kind: name, **limit}, **{f"{kind}s" if kind == "arg" else kind: {name: value}}) == []
        for value, wanted in beyond:
            key = f"args.{name}" if kind == "arg" else f"env.{name}"
            assert broken({kind: name, **limit}, **{f"{kind}s" if kind == "arg" else kind: {name: value}}) == [(key, str(value), wanted)]


@pytest.mark.parametrize("value", ["auto", float("nan"), True, [8], {"a": 1}, "1e999x"])
def test_what_is_no_number_is_within_no_bound(value: Any) -> None:
    for bound in ("max", "min"):
        assert len(broken({"arg": "max-num-seqs", bound: 8}, {"max-num-seqs": value})) == 1
    # A limit that is none bounds nothing: the schema has refused it.
    assert broken({"arg": "max-num-seqs", "max": True}, {"max-num-seqs": 9}) == broken({"arg": 4, "max": 8}, {"max-num-seqs": 9}) == []
    assert broken({"arg": "max-num-seqs", "max": "8"}, {"max-num-seqs": 9}) == []


def test_a_variables_number_is_read_from_its_text() -> None:
    assert broken({"env": "A", "max": 8}, env={"A": "8"}) == broken({"env": "A", "max": 8}) == []
    assert broken({"env": "A", "max": 8}, env={"A": "8.5"}) == [("env.A", "'8.5'", "at most 8")]
    assert broken({"env": "A", "max": 8}, env={"A": "9" * 400}) == [("env.A", f"'{'9' * 78}…", "at most 8")]
    assert len(broken({"env": "A", "equals": "x"})) == 1
    # Of two names the newer one counts, whichever a limit has.
    old, new = "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"
    assert broken({"env": old, "equals": "a"}, env={old: "b", new: "a"}) == broken({"env": old, "equals": "a"}, env={old: "a"}) == []
    assert len(broken({"env": old, "equals": "a"}, env={old: "a", new: "b"})) == 1


def test_a_flag_left_out_has_the_engines_default() -> None:
    key = "gpu-memory-utilization"
    assert broken({"arg": key, "max": 0.9}) == [(f"args.{key}", "nothing, which in vllm 0.22.1 is 0.92", "at most 0.9")]
    assert broken({"arg": key, "max": 0.92}) == broken({"arg": key, "min": 0.92}) == []
    # The engine computes it.
    assert broken({"arg": "max-num-seqs", "max": 8}) == [("args.max-num-seqs", "nothing, and vllm 0.22.1 chooses it", "at most 8")]
    assert broken({"arg": "max-num-seqs", "equals": 8}) == [("args.max-num-seqs", "nothing", "8")]
    # What only a mod knows, and a part of what is not used, is not read.
    assert broken({"arg": "of-a-mod", "max": 8}) == broken({"arg": "speculative-config.num_speculative_tokens", "max": 2}) == []
    used = {"speculative-config": {"method": "mtp"}}
    assert len(broken({"arg": "speculative-config.num_speculative_tokens", "max": 2}, used)) == 1
    deep = {"arg": "compilation-config.pass_config.fi_allreduce_fusion_max_size_mb", "max": 2}
    assert broken(deep, {"compilation-config": {"mode": 3}}) == []
    assert len(broken(deep, {"compilation-config": {"pass_config": {}}})) == 1
    # SGLang's flags of speculation belong to its algorithm.
    sglang = _engines.load("sglang").DIALECT, _flags.table("sglang", "0.5.13")
    steps = {"arg": "speculative-num-steps", "max": 3, "because": "x"}
    assert _limits.check(*sglang, steps, {}, {}, "p") == []
    assert len(_limits.check(*sglang, steps, {"speculative-algorithm": "EAGLE"}, {}, "p")) == 1


def test_an_entry_has_the_names_and_values_of_the_engine() -> None:
    def entry(**limit: Any) -> dict[str, Any]:
        return _limits.entry(DIALECT, TABLE, limit, ("of-a-mod",))

    assert entry(arg="max_num_seqs", max=8) == {"arg": "max-num-seqs", "max": 8}
    assert entry(arg="max-num-seqs", equals="8") == {"arg": "max-num-seqs", "equals": 8}
    assert entry(arg="cc.cudagraph_mode", equals="NONE") == {"arg": "compilation-config.cudagraph_mode", "equals": "none"}
    assert entry(arg="of-a-mod", equals="8") == {"arg": "of-a-mod", "equals": 8}
    assert entry(arg="max-num-seqs", equals="many") == {"arg": "max-num-seqs", "equals": "many"}
    assert entry(env="A", equals="8") == {"env": "A", "equals": "8"} and entry(arg=4) == {"arg": 4}
    # Of what nobody reads (the plan sets it) the word stays.
    assert entry(arg="tensor-parallel-size", equals=4) == {"arg": "tensor-parallel-size", "equals": 4}
    assert entry(arg="max-num-seqs", equals=None) == {"arg": "max-num-seqs", "equals": None}


def test_a_limit_of_what_there_is_not_is_told() -> None:
    def unknown(arg: str) -> list[tuple[str, ...]]:
        found = _limits.unknown(_engines.load("vllm").DIALECT, TABLE, {"arg": arg, "max": 1}, ("of-a-mod",), "p.yml", "limits[0]")
        assert all((one.where, one.key) == ("p.yml", "limits[0].arg") for one in found)
        return [(one.found, one.wanted, one.hint, one.code) for one in found]

    assert unknown("max-num-seqs") == unknown("of-a-mod") == unknown("of-a-mod.x") == unknown("hf-overrides.a.b") == []
    assert unknown("speculative-config") == []
    assert unknown("speculative-config.num_speculative_tokens") == unknown("compilation-config.pass_config.fuse_allreduce_rms") == []
    assert _limits.unknown(_engines.load("vllm").DIALECT, TABLE, {"env": "A", "min": 0}, (), "p", "l") == []
    assert unknown("tensor-parallel-size")[0][1:] == ("a flag that args sets: the plan sets this one, from parallel.tensor", "", "owned")
    assert unknown("max-num-seq") == [("'max-num-seq'", "a flag of vllm 0.22.1", "Did you mean 'max-num-seqs'?", "flag-unknown")]
    assert unknown("max-num-scheduled-tokens")[0][2] == "vllm 0.30.0 has it."
    ((found, wanted, hint, code),) = unknown("compilation-config.pass_config.fuse_allreduce_rm")
    assert (found, code, hint) == ("'fuse_allreduce_rm'", "unknown-key", "Did you mean 'fuse_allreduce_rms'?")
    assert "PassConfig" in wanted


@pytest.mark.parametrize(
    ("limit", "found", "wanted"),
    [
        ({"arg": "max-num-seqs", "env": "NCCL_DEBUG", "max": 4}, "arg and env", "one of arg and env"),
        ({"max": 4}, "neither arg nor env", "one of arg and env"),
        ({"arg": "max-num-seqs"}, "no bound", "min, max or equals"),
    ],
)
def test_a_limit_that_would_never_fire_is_a_problem(limit: dict[str, Any], found: str, wanted: str) -> None:
    (problem,) = _limits.unknown(_engines.load("vllm").DIALECT, TABLE, limit, (), "p.yml", "limits[0]")
    assert (problem.where, problem.key, problem.found, problem.wanted) == ("p.yml", "limits[0]", found, wanted)


@pytest.mark.parametrize(
    ("own", "env", "key"),
    [
        *[({"OMP_NUM_THREADS": "5"}, {}, "OMP_NUM_THREADS"), ({"OMP_NUM_THREADS": "4"}, {}, ""), ({}, {}, "")],
        # The profile's own counts, and is held to its limits elsewhere.
        *[({"OMP_NUM_THREADS": "5"}, {"OMP_NUM_THREADS": "9"}, ""), ({}, {"OMP_NUM_THREADS": "9"}, "")],
        *[({"PYTORCH_ALLOC_CONF": "a"}, {}, "PYTORCH_ALLOC_CONF"), ({"PYTORCH_CUDA_ALLOC_CONF": "a"}, {}, "PYTORCH_CUDA_ALLOC_CONF")],
        ({"PYTORCH_ALLOC_CONF": "b", "PYTORCH_CUDA_ALLOC_CONF": "a"}, {}, ""),
    ],
)
def test_a_limit_of_a_variable_holds_for_a_nodes_own(own: dict[str, str], env: dict[str, str], key: str) -> None:
    limits: Any = [{"env": "OMP_NUM_THREADS", "max": 4, "because": "x"}, {"env": "PYTORCH_CUDA_ALLOC_CONF", "equals": "b", "because": "x"}]
    found = _limits.of_node(_engines.load("vllm").DIALECT, _flags.table("vllm", "0.22.1"), limits, env, own, "n.gx10_env")
    assert [problem.key for problem in found] == ([f"n.gx10_env.{key}"] if key else [])
