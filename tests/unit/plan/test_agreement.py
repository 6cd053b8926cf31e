"""What a profile may not say together, what opens or runs something, and what it leaves to the engine."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _agreement, _resolve, _rules, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _engines, _env, _flags, _limits, _opens
from conftest import edited, hostvars

QWEN, ULTRA, MINI, SUPER, SIM = "qwen397-mtp2", "nemotron3-ultra", "nex-n2-mini", "nemotron3-super-sglang", "sim-tiny-tp2"
MODELS = _engines.MODELS


def problems(name: str, override: Any, **own: Any) -> list[str]:
    """Key and code of each, in the plan of a profile with keys of its own and a launch's override, which is blamed in test_resolve.py."""
    variables = hostvars()
    found = _resolve.resolve(edited(_sources.read(name), **own), variables, list(variables), override, True)
    assert (found["plan"] is None) == bool(found["problems"])
    keys = [text.partition(": ")[2].partition(": ")[0].removeprefix("override.") for text in found["problems"]]
    return [f"{key} {text.rpartition('[')[2].rstrip(']')}" for key, text in zip(keys, found["problems"], strict=True)]


def view(engine: str, args: Any, parallel: Any = None, repo: str = "a/b", drafts: Any = (), **more: Any) -> _rules.View:
    model = {"repo": repo, "drafts": [{"repo": draft} for draft in drafts]}
    profile = {
        "engine": engine,
        "args": args,
        "parallel": parallel or {"tensor": 4},
        "model": model,
        "image": "i",
        "env": more.get("env", {}),
    }
    return _rules.view(profile, more.get("image", {}), "p", more.get("limits", ()))


def keys(engine: str, args: Any, **more: Any) -> list[str]:
    return [problem.key for problem in _agreement.check(view(engine, args, **more))]


@pytest.mark.parametrize(
    ("engine", "args", "parallel", "expected"),
    [
        *[("vllm", {}, {"tensor": 4, "expert": expert}, []) for expert in (1, 4)],
        *[("vllm", {}, {"tensor": 4, "expert": expert}, ["parallel.expert"]) for expert in (2, 3, 8)],
        *[("sglang", {}, {"tensor": 4, "expert": expert}, []) for expert in (1, 2, 4)],
        *[("sglang", {}, {"tensor": 4, "expert": expert}, ["parallel.expert"]) for expert in (3, 8)],
        ("sglang", {"moe-runner-backend": "flashinfer_cutlass"}, {"tensor": 4, "expert": 2}, ["parallel.expert"]),
        ("sglang", {"moe-runner-backend": "flashinfer_cutlass"}, {"tensor": 4, "expert": 4}, []),
        *[("vllm", {"data-parallel-size": copies}, None, ["args.data-parallel-size"]) for copies in (2, 3)],
        ("vllm", {"data-parallel-size": 1, "prefill-context-parallel-size": 1}, None, []),
        ("vllm", {"prefill-context-parallel-size": 2}, None, ["args.prefill-context-parallel-size"]),
        ("vllm", {"decode-context-parallel-size": 3}, None, ["args.decode-context-parallel-size"]),
        ("vllm", {"decode-context-parallel-size": 2}, None, []),
        ("sglang", {"data-parallel-size": 2}, None, ["args.enable-dp-attention"]),
        ("sglang", {"data-parallel-size": 2, "enable-dp-attention": True}, None, []),
        ("sglang", {"data-parallel-size": 3, "enable-dp-attention": True}, None, ["args.data-parallel-size"]),
        *[("sglang", {"moe-dense-tp-size": ranks}, None, []) for ranks in (1, 4)],
        ("sglang", {"moe-dense-tp-size": 2}, None, ["args.moe-dense-tp-size"]),
        ("sglang", {"speculative-algorithm": "NGRAM"}, {"tensor": 2, "pipeline": 2}, ["parallel.pipeline"]),
        ("sglang", {"speculative-algorithm": "NGRAM"}, {"tensor": 2, "pipeline": 1}, []),
        ("vllm", {"enable-eplb": True}, {"tensor": 4, "expert": 1}, ["parallel.expert"]),
        ("vllm", {"enable-eplb": True}, {"tensor": 4, "expert": 4}, []),
        # The schema's affair.
        ("vllm", {}, {"tensor": "4", "expert": 3}, []),
        *[("vllm", {}, {"tensor": 0}, []), ("vllm", {}, {"tensor": 4, "expert": 0}, [])],
    ],
)  # fmt: skip
def test_a_split_is_of_the_gpus_that_the_plan_counts(engine: str, args: Any, parallel: Any, expected: list[str]) -> None:
    assert keys(engine, args, parallel=parallel) == expected


@pytest.mark.parametrize(
    ("engine", "imports", "refused"),
    [
        *[("vllm", ["vllm", "torch"], False), ("vllm", ["sglang", "torch"], True)],
        *[("sglang", ["vllm"], True), ("sglang", ["sglang"], False)],
        # One that names no engine says nothing of it, and neither does one of another form.
        *[("vllm", imports, False) for imports in (["torch"], [], "sglang")],
        ("other", ["sglang"], False),
    ],
)
def test_an_image_that_names_engines_names_the_profiles(engine: str, imports: Any, refused: bool) -> None:
    assert keys(engine, {}, image={"expect": {"imports": imports}}) == ["image"] * refused
    assert keys(engine, {}, image={"expect": imports}) == keys(engine, {}, image={}) == []


TOKENS = "args.speculative-config.num_speculative_tokens"
DRAFT = "args.speculative-config.model"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        *[({"method": method, "num_speculative_tokens": 2}, []) for method in ("mtp", "qwen3_next_mtp", "ngram", "ngram_gpu", "suffix")],
        *[({"method": method, "num_speculative_tokens": 2}, [DRAFT]) for method in ("eagle", "eagle3", "draft_model", "medusa", None)],
        ({"method": "mtp"}, [TOKENS]),
        ({"method": "suffix"}, []),
        ({"method": "eagle3", "num_speculative_tokens": 2, "model": f"{MODELS}/c/d"}, []),
        # What drafts from the prompt reads no model.
        *[({"method": method, "num_speculative_tokens": 2, "model": "c/d"}, []) for method in ("ngram", "ngram_gpu", "suffix")],
        ({"method": "eagle3", "num_speculative_tokens": 2, "model": f"{MODELS}/a/b"}, []),
        ({"method": "eagle3", "num_speculative_tokens": 2, "model": "c/d"}, [DRAFT]),
        ({"method": "eagle3", "num_speculative_tokens": 2, "model": f"{MODELS}/e/f"}, [DRAFT]),
        ("text", []),
        *[({"method": "mtp", "num_speculative_tokens": 2, "draft_tensor_parallel_size": ranks}, []) for ranks in (1, 4, None)],
        (
            {"method": "mtp", "num_speculative_tokens": 2, "draft_tensor_parallel_size": 2},
            ["args.speculative-config.draft_tensor_parallel_size"],
        ),
    ],
)
def test_a_drafter_is_there_where_one_is_needed(config: Any, expected: list[str]) -> None:
    assert keys("vllm", {"speculative-config": config}, drafts=["c/d"]) == expected


@pytest.mark.parametrize(("method", "words"), [(None, "no method drafts"), ("eagle3", "eagle3 drafts")])
def test_who_lacks_a_drafter_is_named(method: str | None, words: str) -> None:
    (problem,) = _agreement.check(view("vllm", {"speculative-config": {"method": method, "num_speculative_tokens": 2}}))
    assert problem.hint == f"Reason: {words} without one."


def test_sglangs_drafter() -> None:
    path = "speculative-draft-model-path"
    for algorithm, expected in (("EAGLE", []), ("NGRAM", []), ("STANDALONE", [f"args.{path}"]), ("DFLASH", [f"args.{path}"])):
        assert keys("sglang", {"speculative-algorithm": algorithm}) == expected
    args = {"speculative-algorithm": "STANDALONE", path: f"{MODELS}/c/d"}
    assert (keys("sglang", args), keys("sglang", args, drafts=["c/d"])) == ([f"args.{path}"], [])


@pytest.mark.parametrize(
    ("engine", "flag", "length"), [("vllm", "hf-overrides", "max-model-len"), ("sglang", "json-model-override-args", "context-length")]
)
def test_a_context_is_lifted_as_far_as_the_limits_go(engine: str, flag: str, length: str) -> None:
    def lifted(value: Any, most: float | None = 1000) -> list[str]:
        limits = [] if most is None else [{"arg": length, "max": most}, {"arg": length, "max": 2 * most}, {"arg": "x", "max": 1}]
        return keys(engine, {flag: value}, limits=limits)

    key = f"args.{flag}"
    assert [lifted({"max_position_embeddings": value}) for value in (1000, 1001, "1000")] == [[], *[[f"{key}.max_position_embeddings"]] * 2]
    assert lifted({"max_position_embeddings": 10}, None) == [f"{key}.max_position_embeddings"]
    assert lifted({"text_config": {"model_max_length": 1001, "rope_theta": 1e6}}) == [f"{key}.text_config.model_max_length"]
    assert lifted({"quantization_config": {"quant_method": "fp8"}}) == [f"{key}.quantization_config.quant_method"]
    assert lifted({"quantization_config": None}) == [f"{key}.quantization_config"]
    assert lifted("some.function") == [key]
    assert lifted({"architectures": ["X"]}) == []


@pytest.mark.parametrize(
    ("repo", "flag", "fits"),
    [
        ("q/Q-FP8", "fp8", True), ("q/Q-FP8", "modelopt_fp4", False), ("n/N-NVFP4", "modelopt_fp4", True), ("n/N-NVFP4", "fp8", False),
        ("n/N-NVFP4", "compressed-tensors", True), ("n/N", "fp8", True), ("n/N-AWQ", "gptq_marlin", False), ("n/N-AWQ", "awq_marlin", True),
        ("o/gpt-MXFP4", "mxfp4", True), ("o/gpt-MXFP4", "modelopt_fp4", False),
    ],
)  # fmt: skip
def test_quantization_is_the_checkpoints(repo: str, flag: str, fits: bool) -> None:
    assert keys("vllm", {"quantization": flag}, repo=repo) == ([] if fits else ["args.quantization"])


@pytest.mark.parametrize(("chunked", "tokens", "fits"), [(False, 99, False), (False, 100, True), (True, 99, True), (None, 99, True)])
def test_without_chunks_the_longest_prompt_is_one_step(chunked: Any, tokens: int, fits: bool) -> None:
    args = {"enable-chunked-prefill": chunked, "max-num-batched-tokens": tokens, "max-model-len": 100}
    assert keys("vllm", args) == ([] if fits else ["args.max-num-batched-tokens"])


def test_remote_code_is_copied_where_it_can_be() -> None:
    def where(**own: Any) -> Any:
        variables = hostvars()
        plan = _resolve.resolve(edited(_sources.read(QWEN), **own), variables, list(variables))["plan"]
        assert plan
        return {node["runtime_env"].get("HF_MODULES_CACHE") for node in plan["nodes"]}

    profile = yaml.safe_load(_sources.read(QWEN)["profile"]["text"])  # type: ignore[index]
    assert where() == {_resolve.MODULES} and not _resolve.MODULES.startswith(MODELS)
    assert where(args={**profile["args"], "trust-remote-code": False}) == {None}
    assert where(env={**profile["env"], "HF_MODULES_CACHE": "/x"}) == {None}


def test_an_image_has_the_engine() -> None:
    assert problems(SUPER, {"image": "vllm-node"})[-1] == "image image"


MODS: dict[str, dict[str, Any]] = {
    "one": {"provides": "two"},
    "two": {},
    "vllms": {"engine": {"vllm": ">=0.20,<=0.32"}},
    "odd": {"engine": {"vllm": "new"}},
    "any": {"engine": 3},
}


@pytest.mark.parametrize(
    ("used", "engine", "version", "expected"),
    [
        (["one", "vllms", "any", "odd", "unknown"], "vllm", "==0.22.1rc1.dev124+g1", []),
        (["one", "two"], "vllm", "==0.30.0", ["mods[1]"]),
        (["two", "one"], "vllm", "==0.30.0", ["mods[1]"]),
        (["two", "two"], "vllm", "==0.30.0", ["mods[1]"]),
        (["vllms"], "sglang", "==0.5.13", ["mods[0]"]),
        (["vllms"], "vllm", "==0.33.0", ["mods[0]"]),
        (["vllms"], "vllm", "", []),
    ],
)  # fmt: skip
def test_mods_are_of_the_engine_and_each_does_its_own(used: list[str], engine: str, version: str, expected: list[str]) -> None:
    seen = view(engine, {}, image={"expect": {"versions": {engine: version}}})
    assert [problem.key for problem in _agreement.mods(used, MODS, seen)] == expected


def test_mods_of_a_profile_are_held_to_it() -> None:
    assert problems("nex-n2-pro", {"mods": ["nex-fp8-loader", "nex-fp8-loader-plugin"]}) == ["mods[1] mod"]
    assert "mods[0] mod" in problems(SUPER, {"mods": ["gpu-mem-util-gb"]})


OPENED: list[tuple[str, str, Any, str]] = [
    *[
        (QWEN, key, value, "runs-code")
        for key, value in {
            "middleware": "my.Middleware", "worker-cls": "my.Worker", "worker-extension-cls": "x",
            "scheduler-cls": "x",
            "logits-processors": "my.Processor", "tool-parser-plugin": "/x.py", "reasoning-parser-plugin": "/x.py",
            "io-processor-plugin": "x",
            "kv-transfer-config": {"kv_connector_module_path": "x"},
        }.items()
    ],
    *[
        (QWEN, key, value, "refused")
        for key, value in {
            "uds": "/run/x", "ssl-keyfile": "/k", "ssl-certfile": "/c", "download-dir": "/d", "data-parallel-rank": 1, "api-key": "x",
            "data-parallel-external-lb": True, "tool-server": "demo", "enable-ssl-refresh": True,
        }.items()
    ],
    *[(QWEN, "allowed-local-media-path", path, "path") for path in ("/", "/root", f"{MODELS}/..", f"{MODELS}x", "media")],
    *[(QWEN, key, "a/b", "path") for key in ("chat-template", "tokenizer", "hf-config-path", "log-config-file")],
    *[(QWEN, "chat-template", path, "path") for path in ("/a/../etc/passwd", "../x", "/a//b", "./x")],
    *[(SUPER, key, "x", "runs-code") for key in ("custom-sigquit-handler", "custom-weight-loader", "debug-tensor-dump-inject")],
    *[(SUPER, key, "a/b", "path") for key in ("chat-template", "tokenizer-path", "file-storage-path", "crash-dump-folder")],
    *[(SUPER, key, True, "refused") for key in ("enable-custom-logit-processor", "use-ray", "grpc-mode")],
]  # fmt: skip


@pytest.mark.parametrize(("name", "key", "value", "code"), OPENED)
def test_what_runs_code_or_opens_files_is_named(name: str, key: str, value: Any, code: str) -> None:
    found = problems(name, {"args": {key: value}})
    inner = ".kv_connector_module_path" if isinstance(value, dict) else ""
    assert f"args.{key}{inner} {code}" in found and len(found) == 1, found


def test_what_opens_nothing_else_is_taken() -> None:
    taken = {
        "allowed-local-media-path": f"{MODELS}/media",
        "chat-template": "{{ messages }}",
        "worker-cls": "auto",
        # Of its own: the profile runs the checkpoint's code, and no other's.
        "tokenizer": f"{MODELS}/Qwen/Qwen3.5-397B-A17B-FP8/tokenizer",
    }
    for key, value in taken.items():
        assert problems(QWEN, {"args": {key: value}}) == []
    assert problems(QWEN, {"args": {"allowed-local-media-path": MODELS, "chat-template": "/opt/templates/x.jinja/"}}) == []
    assert problems(SUPER, {"args": {"chat-template": "chatml"}}) == []
    # A mod that has the flag in its args answers for it.
    dialect = _engines.load("vllm").DIALECT
    assert [len(_opens.check(dialect, {"middleware": ["x"]}, mods, "p")) for mods in ((), ("middleware",))] == [1, 0]


@pytest.mark.parametrize("engine", _flags.engines())
def test_every_name_is_a_flag_or_field_of_some_version(engine: str) -> None:
    """A flag that no version has guards nothing."""
    dialect = _engines.load(engine).DIALECT
    tables = [_flags.table(engine, version) for version in _flags.versions(engine)]
    named = [*dialect.code, *dialect.files, *dialect.requires, *dialect.requires.values(), *dialect.within.values()]
    named += [name for pair in dialect.excludes + dialect.orders for name in pair] + list(dialect.least)
    named += [*dialect.refused_args]
    named += [flag for flag in _agreement.MULTIPLIERS.get(engine, ())] + list(_agreement.CONFIG[engine])
    for name in named:
        assert any(not _limits.unknown(dialect, table, {"arg": name, "max": 1}, (), "p", "x") for table in tables), name
    assert all(any(name in table.flags for table in tables) for name in dialect.owned)
    assert all(any(name in table.env for table in tables) for name in dialect.off_env)


@pytest.mark.parametrize("engine", _flags.engines())
def test_pairs_need_or_exclude_each_other(engine: str) -> None:
    dialect = _engines.load(engine).DIALECT

    def said(*names: str, value: Any = 1) -> list[str]:
        args: dict[str, Any] = {}
        for name in names:
            base, _dot, rest = name.partition(".")
            args |= {base: {rest: value} if rest else value}
        return [f"{problem.key} {problem.code}" for problem in _opens._together(dialect, args, "p")]

    for key, needed in dialect.requires.items():
        assert f"args.{needed} needs" in said(key)
        assert f"args.{needed} needs" not in said(key, needed)
        assert f"args.{needed} needs" not in said(key, value=False)
    for one, other in dialect.excludes:
        assert f"args.{other} excludes" in said(one, other)
    for one, other in dialect.orders:

        def ordered(low: Any, high: Any, names: tuple[str, str] = (one, other)) -> list[str]:
            args: dict[str, Any] = {}
            for name, value in zip(names, (low, high), strict=True):
                base, _dot, rest = name.partition(".")
                args[base] = {**args.get(base, {}), rest: value} if rest else value
            return [problem.code for problem in _opens._together(dialect, args, "p")]

        assert ordered(5, 4) == ["out-of-range"]
        assert ordered(4, 4) == ordered(5, None) == ordered(None, 4) == ordered("5", 4) == []
    for key, least in dialect.least.items():
        needs = [f"args.{dialect.requires[key]} needs"] if key in dialect.requires else []
        assert said(key, value=least - 1) == [*needs, f"args.{key} out-of-range"]
        assert said(key, value=least) == needs
        assert f"args.{other} excludes" not in said(one) + said(other)


@pytest.mark.parametrize(
    ("env", "code"),
    [
        *[({name: "x"}, "refused") for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PATH", "PYTHONOPTIMIZE", "BASH_ENV")],
        *[({name: "x"}, "owned") for name in ("RAY_ADDRESS", "VLLM_HOST_IP", "GX10_RANK", "RAY_AUTH_MODE", "RAY_DEDUP_LOGS")],
        *[({name: "s3cret"}, "secret") for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "wandb_api_key")],
        *[({name: "http://me:s3cret@proxy:3128"}, "secret") for name in ("HTTPS_PROXY", "http_proxy", "PIP_INDEX_URL")],
        ({"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}, "refused"),
        ({"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "0"}, None),
        ({"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "true"}, "refused"),
        *[({name: "x"}, None) for name in ("NCCL_IB_HCA", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "ld_preload")],
        ({"HTTPS_PROXY": "http://proxy:3128/a@b"}, None),
    ],
)  # fmt: skip
def test_nobody_sets_what_opens_the_engine(env: dict[str, str], code: str | None) -> None:
    found = _env.check(_engines.load("vllm").DIALECT, env, "p")
    assert [problem.code for problem in found] == ([] if code is None else [code])
    assert "s3cret" not in "".join(map(str, found))
    variables = hostvars(4, gx10_env=env)
    plan = _resolve.resolve(_sources.read(SIM), variables, list(variables), None, True)
    assert bool(plan["problems"]) == (code is not None)


def test_off_is_off_in_each_of_an_engines_words() -> None:
    dialect, name = _engines.load("sglang").DIALECT, "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"
    values = ("0", "false", "False", "no", "n", "1", "true", "")
    assert [value for value in values if _env.check(dialect, {name: value}, "p")] == ["1", "true", ""]


THREADS = [{"arg": "model-loader-extra-config.num_threads", "max": 16, "because": "x"}]
UNSAID = dict.fromkeys(("speculative-num-steps", "speculative-num-draft-tokens", "speculative-eagle-topk"))
LIFTED = {"json-model-override-args": {"max_position_embeddings": 2097152}}


@pytest.mark.parametrize(
    ("name", "args", "limits", "words"),
    [
        (QWEN, {"max-model-len": None}, None, "args.max-model-len: found nothing, and vllm 0.22.1 chooses it; wanted at most 262144"),
        (ULTRA, {"max-num-seqs": None}, None, "args.max-num-seqs: found nothing, and vllm 0.22.1 chooses it; wanted at most 6"),
        (QWEN, {}, [{"arg": "max-loras", "min": 2, "because": "x"}], "which in vllm 0.22.1 is 1; wanted at least 2"),
        (QWEN, {}, [{"arg": "max-loras", "max": 0, "because": "x"}], "found nothing, which in vllm 0.22.1 is 1; wanted at most 0"),
        (QWEN, {}, [{"arg": "max-loras", "max": 1, "min": 1, "because": "x"}], None),
        (ULTRA, {"speculative-config": None}, None, None),
        (QWEN, {"model-loader-extra-config": {"a": 1}}, THREADS, "num_threads: found nothing, and vllm 0.22.1 chooses it"),
        (QWEN, {}, THREADS, None),
        (QWEN, {}, [{"arg": "compilation-config.pass_config.fuse_allreduce_rms", "max": 0, "because": "x"}], None),
        (QWEN, {"speculative-config": {"method": "qwen3_next_mtp"}}, None, "num_speculative_tokens: found nothing"),
        (SUPER, UNSAID, None, "args.speculative-num-steps: found nothing, and sglang 0.5.13 chooses it; wanted at most 3"),
        (SUPER, {**UNSAID, "speculative-algorithm": None}, None, None),
        (ULTRA, {"gpu-memory-utilization-gb": None, "gpu-memory-utilization": 0.9}, None, None),
        (QWEN, {}, [{"env": "OMP_NUM_THREADS_", "max": 1, "because": "x"}], None),
        (QWEN, {}, [{"env": "OMP_NUM_THREADS", "max": 3, "because": "x"}], "env.OMP_NUM_THREADS: found '4'; wanted at most 3"),
        (QWEN, {}, [{"env": "OMP_NUM_THREADS", "max": 4, "min": 4, "because": "x"}], None),
        (SUPER, LIFTED, None, "max_position_embeddings: found 2097152; wanted at most 1048576"),
        (SUPER, {"context-length": None}, None, "args.context-length: found nothing"),
    ],
)  # fmt: skip
def test_a_flag_left_out_is_what_the_engine_takes(name: str, args: Any, limits: Any, words: str | None) -> None:
    variables = hostvars()
    sources = edited(_sources.read(name), **({} if limits is None else {"limits": limits}))
    found = _resolve.resolve(sources, variables, list(variables), {"args": args}, True)["problems"]
    assert (found == []) if words is None else any(words in problem for problem in found), found


def test_a_share_left_out_is_refused_where_the_default_is_too_much() -> None:
    text = yaml.safe_load(_sources.read(MINI)["profile"]["text"])  # type: ignore[index]
    assert text["args"]["gpu-memory-utilization"] == 0.9
    assert problems(MINI, {"args": {"gpu-memory-utilization": None}}) == ["args.gpu-memory-utilization out-of-range"]


CONNECTED, MOVES = {"kv-transfer-config": {"kv_connector": "x"}}, "expandable_segments:True"
ROUNDING = {"enable-mamba-cache-stochastic-rounding": True}
FLOAT, KERNEL, AHEAD = "mamba-ssm-cache-dtype", "mamba-backend", "async-scheduling"


def ahead(method: str, value: bool = True, **more: Any) -> dict[str, Any]:
    return {AHEAD: value, "speculative-config": {"method": method, "num_speculative_tokens": 1, **more}}


@pytest.mark.parametrize(
    ("args", "allocator", "expected"),
    [
        *[(CONNECTED, MOVES, ["env.PYTORCH_CUDA_ALLOC_CONF"]), (CONNECTED, "expandable_segments:False", []), (CONNECTED, "", [])],
        *[({**CONNECTED, key: True}, MOVES, []) for key in ("enable-sleep-mode", "enable-cumem-allocator")],
        *[({}, MOVES, []), ({FLOAT: "float32"}, "", []), (ROUNDING, "", [f"args.{FLOAT}", f"args.{KERNEL}"])],
        ({**ROUNDING, FLOAT: "float16", KERNEL: "flashinfer"}, "", []),
        ({**ROUNDING, FLOAT: "float32", KERNEL: "triton"}, "", [f"args.{FLOAT}", f"args.{KERNEL}"]),
        *[(ahead(method), "", [f"args.{AHEAD}"]) for method in ("ngram", "suffix")],
        *[(ahead("mtp"), "", []), (ahead("ngram_gpu"), "", []), (ahead("ngram", value=False), "", [])],
        (ahead("mtp", disable_padded_drafter_batch=True), "", [f"args.{AHEAD}"]),
    ],
)
def test_what_vllms_configuration_refuses(args: Any, allocator: str, expected: list[str]) -> None:
    seen = view("vllm", args, env={"PYTORCH_CUDA_ALLOC_CONF": allocator} if allocator else {})
    assert [problem.key for problem in _agreement.configuration(seen)] == expected
