"""A stranger's recipes and inventories, refused by what is hostile; nothing outside is read or written. See node/test_hostile.py."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _recipe, _resolve, _sources
from conftest import hostvars
from outer import SEEDS, Watched, outside, snapshot, tells

RECIPE: dict[str, Any] = {
    "recipe_version": "1",
    "name": "a recipe",
    "model": "gx10/tiny-qwen3",
    "container": "vllm-node-sim",
    "cluster_only": True,
    "defaults": {"port": 8000},
    "env": {"OMP_NUM_THREADS": 1},
    "command": "vllm serve gx10/tiny-qwen3 -tp 2 --max-model-len 512 --distributed-executor-backend ray",
}


# Flags that take no path at all, or one below the checkpoints alone.
NOWHERE = ("allowed-local-media-path", "download-dir")


def text_of(recipe: Any) -> str:
    return yaml.safe_dump(recipe, sort_keys=False)


def hostile_recipe(outer: Path, choose: random.Random) -> tuple[str, str]:
    """(a recipe's text, what its refusal must name)."""
    path = choose.choice([str(outer / "secret"), "../outer/secret", "../../outer", f"/proc/self/root{outer}/secret", "~/.ssh/id_ed25519"])
    argument = choose.choice(
        ["chat-template", "tokenizer", "hf-config-path", "log-config-file", "allowed-local-media-path", "download-dir"]
    )
    code = choose.choice(["middleware", "worker-extension-cls", "logits-processors", "tool-parser-plugin"])
    evil = f"!!python/object/apply:os.system ['cat {outer}/secret']"
    deep = "[" * 20_000
    command = RECIPE["command"]
    kinds: list[tuple[str, str]] = [
        (text_of({**RECIPE, "model": path, "command": command.replace("gx10/tiny-qwen3", path)}), "model.repo"),
        (text_of({**RECIPE, "container": path}), "image"),
        (text_of({**RECIPE, "mods": [path]}), "mods"),
        # An absolute path is one in the container, which sees nothing outside; of requests' files only the checkpoints are such.
        (text_of({**RECIPE, "command": f"{command} --{argument} {path if argument in NOWHERE else '../outer/secret'}"}), argument),
        (text_of({**RECIPE, "command": f"{command} --{code} {outer}/run.sh"}), code),
        (text_of({**RECIPE, "command": f"{command} --max-num-seqs {'9' * 5000}"}), "max-num-seqs"),
        (text_of({**RECIPE, "env": {"LD_PRELOAD": path}}), "LD_PRELOAD"),
        (text_of({**RECIPE, "env": {"OMP_NUM_THREADS": f"1\n{path}"}}), "control-character"),
        (text_of(RECIPE) + f"extra: {evil}\n", "r.yaml"),
        (text_of(RECIPE) + f"extra: {deep}\n", "r.yaml"),
        (text_of(RECIPE) + "model: gx10/other\n", "model"),
    ]
    return choose.choice(kinds)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_recipe(tmp_path: Path, seed: int) -> None:
    """Converted, and what comes of it planned: one of the two refuses it."""
    choose, outer = random.Random(seed), outside(tmp_path)
    text, named = hostile_recipe(outer, choose)
    sources = _sources.read("sim-tiny-tp2")
    before, eyes = snapshot(tmp_path), Watched(outer)
    profile, notes = _recipe.convert({"path": "r.yaml", "text": text}, sources["schema"]["text"], "2026-11-21")
    said = "\n".join(notes)
    if profile:
        sources["profile"] = {"name": "imported", "path": "imported.yml", "text": yaml.safe_dump(profile, sort_keys=False)}
        found = _resolve.resolve(sources, hostvars(2), list(hostvars(2)), None, True)
        assert found["plan"] is None, (named, found["message"], profile)
        said += found["message"]
    assert named in said, (named, said)
    assert not tells([profile, said])
    assert eyes.events() == []
    assert snapshot(tmp_path) == before


def hostile_inventory(outer: Path, choose: random.Random) -> tuple[dict[str, Any], str]:
    """(variables of the group, which of them the refusal must name)."""
    leads_out = outer.parent / "checkpoint"
    leads_out.mkdir()
    (leads_out / "config.json").symlink_to(outer / "config.json")
    folders = [
        "/var/lib/../../etc",
        f"{outer}/../outer",
        "relative/outer",
        "/etc",
        "/",
        "/var/lib/gx10; rm -rf /",
        "/a b",
        "/x'$(id)",
        "/x\ny",
    ]
    devices = ["/dev/../etc/shadow", str(outer / "secret"), "/dev/mem", "/dev/sda", "/dev/infiniband/../kvm", "/dev/disk/by-id/x"]
    addresses = ["10.0.0.1; listen 0.0.0.0:1", "127.0.0.1\n", "../x", "9" * 4000, "0x7f.1"]
    env = {"LD_PRELOAD": str(outer / "run.sh"), "A": f"x\n{outer}", "PYTHONPATH": str(outer), "B=C": "x"}
    key = choose.choice(sorted(env))
    kinds: list[tuple[str, Any, str]] = [
        ("gx10_weights_sources", {"gx10/tiny-qwen3": str(leads_out)}, "config.json"),
        ("gx10_weights_sources", {"../../outer": str(outer.parent / "nowhere")}, "gx10_weights_sources"),
        ("gx10_state_dir", choose.choice(folders), "gx10_state_dir"),
        ("gx10_models_root", choose.choice(folders), "gx10_models_root"),
        ("gx10_secrets_dir", choose.choice(["../outer", "x", 7, "", f"x{outer}"]), "gx10_secrets_dir"),
        ("gx10_hub_token_file", choose.choice(["../outer/secret", ["x"], 7]), "gx10_hub_token_file"),
        ("gx10_image_archive", choose.choice(["../outer", "file://x", 7]), "gx10_image_archive"),
        ("gx10_container_options", {"devices": [choose.choice(devices)]}, "gx10_container_options"),
        ("gx10_container_options", {"cap_add": [choose.choice(["ALL", "SYS_ADMIN"])]}, "gx10_container_options"),
        ("gx10_container_options", {"runtime": f"nvidia --volume {outer}:/x"}, "gx10_container_options"),
        ("gx10_api_address", choose.choice(addresses), "gx10_api_address"),
        ("gx10_management_address", choose.choice(addresses), "gx10_management_address"),
        ("gx10_fabric_address", choose.choice(addresses), "gx10_fabric_address"),
        ("gx10_api_port", choose.choice([10**30, -1, "8000; x", 1.5, [8000]]), "gx10_api_port"),
        ("gx10_rank", choose.choice([10**30, -1, "../x", 2.5]), "gx10_rank"),
        ("gx10_env", {key: env[key]}, key.split("=")[0]),
        ("gx10_build_host", choose.choice(["../outer", str(outer), 7]), "gx10_build_host"),
    ]
    name, value, named = choose.choice(kinds)
    return {name: value}, named


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_inventory(tmp_path: Path, seed: int) -> None:
    choose, outer = random.Random(seed), outside(tmp_path)
    given, named = hostile_inventory(outer, choose)
    variables = hostvars(2, **given)
    before, eyes = snapshot(tmp_path), Watched(outer)
    checkpoints = given.get("gx10_weights_sources", {})
    found = _resolve.resolve(_sources.read("sim-tiny-tp2", checkpoints=checkpoints), variables, list(variables), None, True)
    assert found["plan"] is None, (given, found["message"])
    assert named in found["message"], (given, found["message"])
    assert not tells(json.dumps([found["message"], found["problems"]], default=str))
    assert eyes.events() == []
    assert snapshot(tmp_path) == before
