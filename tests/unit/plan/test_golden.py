"""Each profile against its field report's command (data/NAME.command), as parsed argv and environment, not as text."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands
from conftest import ROOT, hostvars

# The reports listen on all addresses; the sample does not.
SAMPLE = {
    **yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text()),
    "gx10_api_address": "0.0.0.0",
    "gx10_accept_open_api": True,
}
DATA = ROOT / "tests/unit/data"
ALIASES = {"-tp": "--tensor-parallel-size"}
REPEATED = ("-e", "-v", "-p")
# What differs from a report beyond _commands.ADDED, and why: {profile: {flag: (report, ours, reason)}}; None is absence.
OFFLINE = ["HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1"]
MOUNT = "/srv/models:/root/.cache/huggingface"
SUPER = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"
NODE = {
    "--model-path": (SUPER, f"/root/.cache/huggingface/{SUPER}", "weights are staged"),
    "--served-model-name": (None, "nvidia/nemotron-3-super", "clients ask for a name"),
    "--host": (None, "0.0.0.0", "every listening address is explicit"),
    "--port": (None, 8000, "the inventory's"),
    "--node-rank": (None, 0, "Kubernetes set it in the report"),
    "--dist-init-addr": (None, "192.168.177.11:29501", "Kubernetes set it in the report"),
    "--enable-metrics": (None, True, "the watch and the gate read /metrics, which is 404 without it"),
}
DIFFERENCES: dict[str, dict[str, tuple[Any, Any, str]]] = {
    "nex-n2-pro": {
        "-v": (["/srv/launcher/mods/nex-fp8-loader:/mods/nex-fp8-loader", MOUNT], [MOUNT], "the supervisor brings and runs mods")
    },
    "nex-n2-pro-mtp2": {
        "-v": (["/srv/launcher/mods/nex-fp8-loader:/mods/nex-fp8-loader", MOUNT], [MOUNT], "the supervisor brings and runs mods")
    },
    "nex-n2-mini": {
        "-e": (["HF_TOKEN=hf_xxxxx"], OFFLINE, "no secret in docker inspect; weights are staged, not downloaded at start"),
        "-v": (["nex-n2-model:/mnt/model"], [MOUNT], "one models root for all"),
        "--gpus": ("all", None, "the sample inventory gives the GPU by runtime, as the other reports do"),
        "--runtime": (None, "nvidia", "the same"),
        "-p": (["8000:8000"], ["0.0.0.0:8000:8000"], "every published address is explicit"),
    },
    "nemotron3-super-sglang": NODE,
    "nemotron3-super-sglang-ep4": NODE,
}


def value(text: str) -> Any:
    """0.90 equals 0.9, and JSON its own spacing."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def flags(words: list[str]) -> dict[str, Any]:
    """argv as {flag: value}: order, aliases and `--a=b` do not count."""
    found: dict[str, Any] = {}
    rest = [part for word in words for part in (word.split("=", 1) if word.startswith("--") and "=" in word else [word])]
    while rest:
        flag = rest.pop(0)
        assert flag.startswith("-"), f"{flag!r} is no flag"
        flag = ALIASES.get(flag, flag)
        argument = rest.pop(0) if rest and not rest[0].startswith("-") else None
        if flag in REPEATED:
            found[flag] = sorted([*found.get(flag, []), argument])
            continue
        assert flag not in found, f"{flag} twice"
        found[flag] = True if argument is None else value(argument)
    return found


def split(text: str) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """A report's command: docker options, image, engine flags (with its positional model under "model")."""
    words = shlex.split(text.replace("\\\n", " "))
    options: list[str] = []
    image = ""
    if words[0] == "docker":
        index = next(i for i, word in enumerate(words) if i > 2 and ":latest" in word)
        options, image, words = words[2:index], words[index], words[index + 1 :]
    return flags(options), image, serve_flags(words)


def serve_flags(words: list[str]) -> dict[str, Any]:
    if words[:2] == ["vllm", "serve"]:
        return {"model": words[2], **flags(words[3:])}
    return flags(words[3:]) if words else {}


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.command")))
def test_profile_is_the_reports_command(resolve: Any, name: str) -> None:
    found = resolve(name, variables=hostvars(**SAMPLE))
    assert found["problems"] == []
    head = found["plan"]["nodes"][0]
    report = (DATA / f"{name}.command").read_text()
    report = report.replace("<spark-model-root>", "/srv/models").replace("<spark-launcher-dir>", "/srv/launcher")
    options, image, serve = split(report)
    ours_options = {"-d": True, **flags(_commands.docker_options(head))}
    ours_serve = serve_flags(head["engine"]["argv"])
    differences = dict(DIFFERENCES.get(name, {}))
    compare(options, ours_options if options else {}, differences)
    compare(serve, ours_serve if serve else {}, differences)
    assert differences == {}, "listed differences that are none"
    if image:
        assert found["plan"]["image"]["reference"] == image


def compare(report: dict[str, Any], ours: dict[str, Any], differences: dict[str, tuple[Any, Any, str]]) -> None:
    for flag in sorted(set(report) | set(ours)):
        pair = (report.get(flag), ours.get(flag))
        if flag in differences:
            assert pair == differences.pop(flag)[:2], flag
        else:
            assert pair[0] == pair[1], flag


def test_every_profile_of_a_report_is_compared() -> None:
    profiles = {path.stem for path in (ROOT / "model_profiles").glob("*.yml") if not path.stem.startswith("sim-")}
    # The two others have no command in a report: one was never run, and one is kept as a record and refused.
    assert profiles - {path.stem for path in DATA.glob("*.command")} == {"qwen397-mtp3", "qwen397-mtp5"}


def test_workers_of_a_headless_engine(resolve: Any) -> None:
    nodes = resolve("nemotron3-super-sglang", variables=hostvars(**SAMPLE))["plan"]["nodes"]
    assert [serve_flags(node["engine"]["argv"])["--node-rank"] for node in nodes] == [0, 1, 2, 3]
    assert [node["engine"]["health"] is not None for node in nodes] == [True, False, False, False]


def test_vllm_without_ray(resolve: Any) -> None:
    text = (ROOT / "model_profiles/qwen397-mtp2.yml").read_text().replace("executor: ray", "executor: mp")
    nodes = resolve(text=text, variables=hostvars(**SAMPLE))["plan"]["nodes"]
    assert all(node["ray"] is None for node in nodes)
    one, two = serve_flags(nodes[0]["engine"]["argv"]), serve_flags(nodes[1]["engine"]["argv"])
    assert (one["--nnodes"], one["--node-rank"], one["--master-addr"], one["--master-port"]) == (4, 0, "192.168.177.11", 29501)
    assert "--headless" not in one
    assert two["--headless"] is True
    assert two["--node-rank"] == 1


def test_refused_and_untested_profiles() -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources

    variables = hostvars(**SAMPLE)

    def run(name: str, accept: bool) -> _resolve.Resolved:
        return _resolve.resolve(_sources.read(name), variables, list(variables), None, accept)

    (problem,) = run("qwen397-mtp3", False)["problems"]
    assert "accept_untested=true" in problem
    assert run("qwen397-mtp3", True)["plan"]
    for accept in (False, True):
        (problem,) = run("qwen397-mtp5", accept)["problems"]
        assert "illegal memory access" in problem


def test_a_profile_that_was_measured_badly_warns(resolve: Any) -> None:
    assert any("0 % acceptance" in text for text in resolve("nex-n2-pro-mtp2")["plan"]["warnings"])
