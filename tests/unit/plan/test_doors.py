"""What opens an engine from within a flag's value, however deep: code, every address, secrets; and what a variable may not say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _doors, _engines, _env, _flags, _opens
from conftest import hostvars

EVIL = f"{_engines.MODELS}/org/evil"
OWN = f"{_engines.MODELS}/gx10/tiny-qwen3"
KV = {"kv_role": "kv_both"}
INNER = {"kv_connector": "X", "kv_connector_module_path": "evil"}
ZMQ = {"enable_kv_cache_events": True, "publisher": "zmq"}


def refused(name: str = "sim-tiny-solo", **override: Any) -> list[str]:
    """The key and code of each problem."""
    variables = hostvars(1 if "solo" in name else 4)
    problems = _resolve.resolve(_sources.read(name), variables, list(variables), override, True)["problems"]
    return [f"{text.split(': ')[1].removeprefix('override.')} {text.rpartition('[')[2].rstrip(']')}" for text in problems]


CODE: list[tuple[dict[str, Any], str]] = [
    ({"structured-outputs-config": {"reasoning_parser_plugin": f"{EVIL}/x.py"}}, "structured-outputs-config.reasoning_parser_plugin"),
    ({"structured-outputs-config.reasoning_parser_plugin": "/x.py"}, "structured-outputs-config.reasoning_parser_plugin"),
    (
        {"kv-transfer-config": {"kv_connector": "X", **KV, "kv_connector_module_path": "evil"}},
        "kv-transfer-config.kv_connector_module_path",
    ),
    (
        {"kv-transfer-config": {"kv_connector": "MultiConnector", **KV, "kv_connector_extra_config": {"connectors": [{**KV, **INNER}]}}},
        "kv-transfer-config.kv_connector_extra_config.connectors[0].kv_connector_module_path",
    ),
    (
        {"kv-transfer-config": {"kv_connector": "OffloadingConnector", **KV, "kv_connector_extra_config": {"spec_module_path": "evil"}}},
        "kv-transfer-config.kv_connector_extra_config.spec_module_path",
    ),
    ({"ec-transfer-config": {"ec_connector_module_path": "evil"}}, "ec-transfer-config.ec_connector_module_path"),
    ({"compilation-config": {"backend": "evil.module.fn"}}, "compilation-config.backend"),
    ({"compilation-config": {"inductor_passes": {"p": "evil.fn"}}}, "compilation-config.inductor_passes"),
    (
        {"compilation-config": {"inductor_compile_config": {"post_grad_custom_post_pass": "evil.fn"}}},
        "compilation-config.inductor_compile_config.post_grad_custom_post_pass",
    ),
    ({"hf-overrides": {"auto_map": {"AutoConfig": "evil/repo--m.C"}}}, "hf-overrides.auto_map"),
    ({"log-config-file": f"{OWN}/log.json"}, "log-config-file"),
    ({"trust-remote-code": True, "tokenizer": EVIL}, "tokenizer"),
    ({"trust-remote-code": True, "hf-config-path": f"{OWN}-evil"}, "hf-config-path"),
]


@pytest.mark.parametrize(("args", "key"), CODE)
def test_finding_7_code_is_refused_wherever_it_is_named(args: dict[str, Any], key: str) -> None:
    assert f"args.{key} runs-code" in refused(args=args)


def test_what_names_no_code_stays() -> None:
    for args in (
        *({"compilation-config": {"backend": backend}} for backend in ("inductor", "eager", "")),
        {"compilation-config": {"inductor_passes": {}, "pass_config": {"fuse_norm_quant": True}}},
        {"structured-outputs-config": {"backend": "xgrammar", "reasoning_parser_plugin": ""}},
        # The plan's own checkpoint is held by its manifest; without the flag a folder is data.
        {"trust-remote-code": True, "tokenizer": OWN, "hf-config-path": f"{OWN}/"},
        {"tokenizer": EVIL, "hf-config-path": EVIL},
        {"log-config-file": "/opt/log.json"},
    ):
        assert not [text for text in refused(args=args) if "runs-code" in text], args


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_weights_are_no_pickles(engine: str) -> None:
    dialect = _engines.load(engine).DIALECT

    def keys(value: str, mods: tuple[str, ...] = ()) -> list[tuple[str, str]]:
        return [(problem.key, problem.code) for problem in _opens.check(dialect, {"load-format": value}, mods, "p")]

    for value in ("pt", "npcache", "PT"):
        assert keys(value) == [("args.load-format", "runs-code")]
        assert keys(value, ("load-format",)) == []
    assert [keys(value) for value in ("auto", "safetensors", "fastsafetensors", "dummy", "ptx")] == [[]] * 5
    # The drafter's come by the same loaders.
    drafter: dict[str, tuple[str, dict[str, Any]]] = {
        "vllm": ("speculative-config.draft_load_config.load_format", {"speculative-config": {"draft_load_config": {"load_format": "pt"}}}),
        "sglang": ("speculative-draft-load-format", {"speculative-draft-load-format": "pt"}),
    }
    key, args = drafter[engine]
    assert [problem.key for problem in _opens.check(dialect, args, (), "p")] == [f"args.{key}"]


@pytest.mark.parametrize("depth", [30, 200, 900, 1100, 2000])
def test_a_text_may_nest_as_deep_as_it_likes(depth: int) -> None:
    """Python's own limit is another one at each call; what an engine reads is some levels deep."""
    text = '{"a": ' + "[" * depth + '{"module_path": "x"}' + "]" * depth + "}"
    problems = _doors.check(_engines.load("vllm").DIALECT, {"chat-template": text}, (), (), "p")
    assert [problem.code for problem in problems] == ["runs-code"] * (depth == 30)


def test_a_mod_answers_for_the_flag_that_it_brings() -> None:
    dialect, args = _engines.load("vllm").DIALECT, {"structured-outputs-config": {"reasoning_parser_plugin": "/workspace/mods/m/x.py"}}
    for mods, count in (((), 1), (("structured-outputs-config.reasoning_parser_plugin",), 0), (("structured-outputs-config",), 0)):
        assert len(_doors.check(dialect, args, mods, (), "p")) == count


OPEN: list[tuple[dict[str, Any], str]] = [
    ({"kv-events-config": {**ZMQ, "endpoint": "tcp://*:5557"}}, "kv-events-config.endpoint wrong-address"),
    ({"kv-events-config": {**ZMQ, "endpoint": "tcp://0.0.0.0:5557"}}, "kv-events-config.endpoint wrong-address"),
    ({"kv-events-config": {**ZMQ, "endpoint": "tcp://[::]:5557"}}, "kv-events-config.endpoint wrong-address"),
    ({"kv-events-config": {**ZMQ, "endpoint": "tcp://[::ffff:0.0.0.0]:5557"}}, "kv-events-config.endpoint wrong-address"),
    # vLLM's default is tcp://*:5557.
    ({"kv-events-config": ZMQ}, "kv-events-config.endpoint wrong-address"),
    ({"kv-events-config": {"enable_kv_cache_events": True}}, "kv-events-config.endpoint wrong-address"),
    (
        {"kv-events-config": {**ZMQ, "endpoint": "tcp://127.0.0.1:5557", "replay_endpoint": "tcp://192.168.1.11:5558"}},
        "kv-events-config.replay_endpoint wrong-address",
    ),
    ({"kv-transfer-config": {"kv_connector": "P2pNcclConnector", **KV, "kv_ip": "0.0.0.0"}}, "kv-transfer-config.kv_ip wrong-address"),
    ({"trust-request-chat-template": True}, "trust-request-chat-template refused"),
    ({"model-loader-extra-config": {"tensorizer_uri": "s3://b/m"}}, "model-loader-extra-config.tensorizer_uri path"),
]


@pytest.mark.parametrize(("args", "problem"), OPEN)
def test_finding_7_no_flag_listens_on_every_address_or_trusts_a_request(args: dict[str, Any], problem: str) -> None:
    assert f"args.{problem}" in refused(args=args)


def test_what_listens_at_home_or_calls_stays() -> None:
    for events in (
        {**ZMQ, "endpoint": "tcp://127.0.0.1:5557", "replay_endpoint": "ipc:///tmp/replay"},
        {**ZMQ, "endpoint": "tcp://[::1]:5557"},
        # A collector that is called.
        {**ZMQ, "endpoint": "tcp://192.168.1.50:5557"},
        {"enable_kv_cache_events": False},
        {"publisher": "null", "endpoint": "tcp://127.0.0.1:5557"},
    ):
        assert refused(args={"kv-events-config": events}) == [], events
    # Every origin is none of the machine's addresses.
    assert refused(args={"allowed-origins": ["*"]}) == []


def test_sglang_has_its_events_as_text() -> None:
    for text, code in ((json.dumps(ZMQ), 1), (json.dumps({**ZMQ, "endpoint": "tcp://127.0.0.1:1"}), 0), ("[" * 9999, 0), ("x", 0)):
        found = _doors.check(_engines.load("sglang").DIALECT, {"kv-events-config": text}, (), (), "p")
        assert [one.key for one in found] == ["args.kv-events-config.endpoint"] * code


def test_sglangs_doors() -> None:
    extra = json.dumps({"module_path": "/root/x.py", "class_name": "X"})
    name = "nemotron3-super-sglang"
    found = refused(name, args={"hicache-storage-backend": "dynamic", "hicache-storage-backend-extra-config": extra})
    assert "args.hicache-storage-backend-extra-config.module_path runs-code" in found
    assert "args.tokenizer-path runs-code" in refused(name, args={"tokenizer-path": EVIL, "trust-remote-code": True})
    assert "args.grpc-http-sidecar-port refused" in refused(name, args={"grpc-http-sidecar-port": 1})


TOLD = "hunter2hunter2"
ARGS: list[dict[str, Any]] = [
    {"otlp-traces-endpoint": f"http://user:{TOLD}@host:4317"},
    {"model-loader-extra-config": {"s3_secret_access_key": TOLD}},
    {"hf-overrides": {"token": TOLD}},
    {"hf-overrides": {"a": [{"hf-token": TOLD}]}},
    {"hf-overrides": {"a": "hf_abcdefghijklmnopqrst" + TOLD}},
    {"additional-config": {"password": TOLD}},
]


@pytest.mark.parametrize("args", ARGS)
def test_finding_2_a_secret_in_a_flag_is_refused_and_not_said(resolve: Any, args: dict[str, Any]) -> None:
    found = resolve("sim-tiny-solo", override={"args": args}, variables=hostvars(1), accept_untested=True)
    assert any("found a secret" in problem and "[secret]" in problem for problem in found["problems"]), found["message"]
    assert TOLD not in found["message"]


def test_tokens_of_a_model_are_none() -> None:
    for args in (
        {"hf-overrides": {"pad_token": "<pad>", "image_token": "<image>", "eos_token_id": 2, "num_key_value_heads": 2}},
        {"max-num-batched-tokens": 4096},
        {"chat-template": "{{ 'task-specific-instructions-are-here-1234567890' }} {{ messages }}"},
    ):
        assert not [text for text in refused(args=args) if "secret" in text], args


SECRETS = (
    *(
        "GITHUB_PAT",
        "OPENAI_KEY",
        "WANDB_KEY",
        "AZURE_STORAGE_KEY",
        "SSH_KEY",
        "ENCRYPTION_KEY",
        "SSH_PASSPHRASE",
        "MYSQL_PWD",
        "PGPASSWORD",
    ),
    *("PASSWORD1", "DB_PWD", "MY_TOKENS", "HFTOKEN", "TOKEN_HF", "API_KEY_OPENAI", "AUTHORIZATION", "JWT", "COOKIE"),
    *(
        "DOCKER_AUTH_CONFIG",
        "SECRETS",
        "HF_TOKEN_IMPLICIT_TOKEN",
        "hf_token",
        "AWS_SECRET_ACCESS_KEY_2",
        "GOOGLE_APPLICATION_CREDENTIALS_JSON",
    ),
)
VALUES = (
    *("hf_abcdefghijklmnopqrstuvwxyz012345", "https://ghp_abcdef0123456789abcdef0123456789abcd@github.com/", "AKIAIOSFODNN7EXAMPLE"),
    *(
        "sk-proj-aaaaaaaaaaaaaaaaaaaaaaaaa1aaaaaaaa",
        "-----BEGIN PRIVATE KEY-----",
        '{"password": "hunter2"}',
        "redis://:pw@h",
        "https://u@h/",
    ),
    *("glpat-aaaaaaaaaaaaaaaaaaaa", "AccountName=x;AccountKey=abc"),
)


@pytest.mark.parametrize("name", SECRETS)
def test_finding_2_a_variable_with_a_secrets_name_is_refused(name: str) -> None:
    (problem,) = _env.check(_engines.load("vllm").DIALECT, {name: TOLD}, "p")
    assert problem.code == "secret" and TOLD not in str(problem)


@pytest.mark.parametrize("value", VALUES)
def test_finding_2_a_secret_under_a_harmless_name_is_refused(value: str) -> None:
    (problem,) = _env.check(_engines.load("vllm").DIALECT, {"NOTE": value}, "p")
    assert problem.code == "secret" and value not in str(problem)


LD = f"/usr/lib:{EVIL}"
FOREIGN = (
    EVIL,
    f"{EVIL}/e.so",
    LD,
    "~/.cache/huggingface/x.so",
    "/root/.cache/./huggingface//x",
    "/root/.cache/a/../huggingface",
    "a=/x," + EVIL,
)


@pytest.mark.parametrize("value", FOREIGN)
@pytest.mark.parametrize("name", ["VLLM_LOGGING_CONFIG_PATH", "NCCL_NET_PLUGIN", "TRITON_PTXAS_PATH", "CC", "HOME", "HF_MODULES_CACHE"])
def test_finding_2_no_variable_names_what_lies_below_the_models_root(name: str, value: str) -> None:
    (problem,) = _env.check(_engines.load("vllm").DIALECT, {name: value}, "p")
    assert problem.code == "path" and _engines.MODELS in problem.wanted


@pytest.mark.parametrize("name", ["RAY_RUNTIME_ENV_HOOK", "RAY_PRELOAD_PYTHON_MODULES", "PERL5OPT", "PERL5LIB", "NODE_OPTIONS"])
def test_finding_2_a_variable_that_changes_the_code_is_refused(name: str) -> None:
    assert [problem.code for problem in _env.check(_engines.load("vllm").DIALECT, {name: "x"}, "p")] == ["refused"]


@pytest.mark.parametrize("engine", _flags.engines())
def test_what_engines_read_and_sites_set_stays(engine: str) -> None:
    """Every variable of each version, by a number; and what guides for the GB10 set."""
    dialect = _engines.load(engine).DIALECT
    for version in _flags.versions(engine):
        table = _flags.table(engine, version)
        said = {problem.key for problem in _env.check(dialect, dict.fromkeys(table.env, "1"), "p") if problem.code == "secret"}
        wanted = {f"env.{name}" for name in table.env if name.endswith(("API_KEY", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))}
        assert said == wanted - {"env.VLLM_API_KEY"}
    healthy = {
        "TRITON_PTXAS_PATH": "/usr/local/cuda/bin/ptxas", "NCCL_NET_PLUGIN": "none",
        "CUDA_HOME": "/usr/local/cuda", "NCCL_IB_HCA": "=rocep1s0f0",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "TOKENIZERS_PARALLELISM": "false",
        "VLLM_NCCL_SO_PATH": "/usr/lib/aarch64-linux-gnu/libnccl.so.2", 
        "GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=4096", "PWD": "/x", "TIKTOKEN_ENCODINGS_BASE": "/etc/encodings",
        "PYTHONWARNINGS": "ignore::DeprecationWarning", "HF_HOME": _engines.MODELS, "HF_HUB_CACHE": f"{_engines.MODELS}/hub",
    }  # fmt: skip
    assert _env.check(dialect, healthy, "p") == []
