"""What engines compile: whose folder it is, when all ranks may use it again, what goes; and which variables lead there."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _compiled as _look
from ansible_collections.gx10.serving.plugins.module_utils.node._docker import Docker
from ansible_collections.gx10.serving.plugins.module_utils.phases import _compiled
from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands, _resolve, _sources
from conftest import ROOT, edited, hostvars

IMAGE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
GIB = 1024**3


def folder(name: str, stamp: str = "L", size: int = GIB, gone: bool = False) -> Any:
    return {"name": name, "image": IMAGE, "image_gone": gone, "stamp": stamp, "bytes": size}


@pytest.fixture
def plan(resolve: Any) -> Any:
    return resolve("sim-tiny-tp2", variables=hostvars(3, gx10_compiled_gib=20))["plan"]


def launch(name: str, **own: Any) -> Any:
    """The plan of a profile, with some of its top keys otherwise, where what is compiled is kept."""
    variables = hostvars(gx10_compiled_gib=20)
    return _resolve.resolve(edited(_sources.read(name), **own), variables, list(variables), None, True)["plan"]


def decide(plan: Any, one: list[Any], two: list[Any], idle: list[Any] | None = None) -> Any:
    return _compiled.decide(plan, {"gx10-1": one, "gx10-2": two, "gx10-3": idle or []}, IMAGE)


def test_a_folder_is_of_one_engine_image_set_of_mods_and_order_of_ranks(resolve: Any, plan: Any) -> None:
    key = _compiled.key(plan, IMAGE)
    assert key.startswith(f"vllm-{'1' * 12}-")
    assert _compiled.key(plan, OTHER) != key
    variables = hostvars(3, gx10_compiled_gib=20)
    variables["gx10-1"]["gx10_rank"], variables["gx10-2"]["gx10_rank"] = 1, 0
    variables["gx10-3"]["gx10_rank"] = 2
    assert _compiled.key(resolve("sim-tiny-tp2", variables=variables)["plan"], IMAGE) != key
    modded = json.loads(json.dumps(plan))
    modded["nodes"][0]["mods"] = [{"name": "m", "hash": "sha256:1", "path": "", "ready": True}]
    assert _compiled.key(modded, IMAGE) != key
    # Another flag, and another length of context, is the engine's own business.
    assert (
        _compiled.key(
            resolve("sim-tiny-tp2", variables=hostvars(3, gx10_compiled_gib=20), override={"args": {"max-num-seqs": 3}})["plan"], IMAGE
        )
        == key
    )


def test_all_ranks_use_what_one_launch_of_theirs_has_left(plan: Any) -> None:
    own = folder(_compiled.key(plan, IMAGE))
    assert decide(plan, [own], [own]) == {"drop": {"gx10-1": [], "gx10-2": [], "gx10-3": []}, "why": ""}
    # Nothing anywhere is a first start, of which there is nothing to say.
    assert decide(plan, [], []) == {"drop": {"gx10-1": [], "gx10-2": [], "gx10-3": []}, "why": ""}


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        ({}, None, "gx10-2 has nothing"),
        ({}, {"stamp": ""}, "the last launch did not pass its gate (gx10-2)"),
        ({}, {"stamp": "K"}, "it is of different launches"),
        ({}, {"size": 21 * GIB}, "gx10-2 has more than gx10_compiled_gib, 20 GiB"),
    ],
)
def test_else_none_of_them_does(plan: Any, one: Any, two: Any, why: str) -> None:
    key = _compiled.key(plan, IMAGE)
    found = decide(plan, [folder(key, **one)], [] if two is None else [folder(key, **two)])
    assert found["why"] == why
    assert found["drop"] == {"gx10-1": [key], "gx10-2": [] if two is None else [key], "gx10-3": []}


def test_what_belongs_to_an_image_that_is_gone_goes_and_others_make_room(plan: Any) -> None:
    key = _compiled.key(plan, IMAGE)
    small, large = folder("vllm-a-b", size=GIB), folder("vllm-c-d", size=19 * GIB + 1)
    gone = folder("sglang-x-y", gone=True)
    found = decide(plan, [folder(key), small, gone], [folder(key), large], [gone, small])
    assert found == {"drop": {"gx10-1": ["sglang-x-y"], "gx10-2": ["vllm-c-d"], "gx10-3": ["sglang-x-y"]}, "why": ""}


def test_nothing_is_kept_where_nothing_shall_be(resolve: Any) -> None:
    plan = resolve("sim-tiny-tp2", variables=hostvars(3, gx10_compiled_gib=0))["plan"]
    key = _compiled.key(plan, IMAGE)
    assert decide(plan, [folder(key)], [folder("x")])["drop"] == {"gx10-1": [key], "gx10-2": ["x"], "gx10-3": []}
    assert _compiled.stamp(plan, IMAGE, "w") == []
    assert not [value for value in plan["nodes"][0]["runtime_env"].values() if "/var/cache" in value]
    assert "/var/cache/gx10" not in _commands.commands(plan)
    # A plan of before there was any, as rollback may serve.
    del plan["compiled_gib"]
    assert _compiled.stamp(plan, IMAGE, "w") == []


def test_a_node_tells_what_it_keeps_by_note_and_stamp(plan: Any, tmp_path: Path) -> None:
    home = tmp_path / "compiled" / _compiled.key(plan, IMAGE)
    (home / "files/vllm").mkdir(parents=True)
    (home / "files/vllm/graph").write_bytes(b"x" * 100_000)
    # Whoever is root in the container makes no stamp.
    (home / "files/complete.json").write_text('{"launch": "forged"}')
    (home / "files/about.json").write_text('{"image": "forged"}')

    def look(there: list[str]) -> Any:
        rows = [{"Id": image, "RepoTags": []} for image in there]
        return _look.look(Docker(lambda _argv: (0, json.dumps(rows), "")), str(tmp_path))

    assert [(one["image"], one["stamp"], one["image_gone"]) for one in look([])] == [("", "", True)]
    (note,) = _compiled.note(plan, IMAGE)
    (home / note["path"]).write_bytes(base64.b64decode(note["content"]))
    (stamp,) = _compiled.stamp(plan, IMAGE, "w")
    (tmp_path / stamp["path"]).write_bytes(base64.b64decode(stamp["content"]))
    (found,) = look([IMAGE])
    assert (found["name"], found["image"], found["image_gone"]) == (home.name, IMAGE, False)
    assert found["stamp"] == json.loads(base64.b64decode(stamp["content"]))["launch"] and found["stamp"].startswith("sha256:")
    assert 100_000 <= found["bytes"] < 200_000
    assert look([OTHER])[0]["image_gone"]
    assert _look.look(Docker(lambda _argv: (0, "[]", "")), str(tmp_path / "none")) == []


def test_each_engine_compiles_into_the_mount_and_measures_elsewhere() -> None:
    of = {name: launch(name)["nodes"][0]["runtime_env"] for name in ("qwen397-mtp2", "nemotron3-super-sglang")}
    vllm, sglang = of["qwen397-mtp2"], of["nemotron3-super-sglang"]
    for env in of.values():
        for name in ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE", "CUDA_CACHE_PATH"):
            assert env[name].startswith("/var/cache/gx10/"), name
    assert "#   -v STATE/compiled/KEY/files:/var/cache/gx10 " in _commands.commands(launch("qwen397-mtp2"))
    assert vllm["VLLM_CACHE_ROOT"] == "/var/cache/gx10/vllm"
    assert not vllm["VLLM_FLASHINFER_AUTOTUNE_CACHE_DIR"].startswith("/var/cache/gx10")
    assert sglang["SGLANG_CACHE_DIR"] == "/var/cache/gx10/sglang"
    assert sglang["SGLANG_FLASHINFER_AUTOTUNE_CACHE"] == "0"
    assert "SGLANG_CACHE_DIR" not in vllm and "VLLM_CACHE_ROOT" not in sglang
    for name, env in (("vllm-0.22.0", vllm), ("vllm-0.22.1", vllm), ("vllm-0.30.0", vllm), ("sglang-0.5.13", sglang)):
        table = (ROOT / f"plugins/module_utils/plan/engines/flags/{name}.json").read_text()
        assert [key for key in env if key.startswith(("VLLM_CACHE", "VLLM_FLASHINFER", "SGLANG_")) and f'"{key}"' not in table] == []


def test_what_an_owner_has_set_stays_his() -> None:
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    env = launch("sim-tiny-tp2", env={**offline, "TRITON_CACHE_DIR": "/root/triton"})["nodes"][0]
    assert env["env"]["TRITON_CACHE_DIR"] == "/root/triton"
    assert "TRITON_CACHE_DIR" not in env["runtime_env"]


def test_what_was_measured_is_forgotten_before_each_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "roles/engine/files/supervisor"))
    import tuned

    (name,) = tuned.VARIABLES
    assert launch("qwen397-mtp2")["nodes"][0]["runtime_env"][name].startswith(tuned.PREFIX)
    monkeypatch.setattr(tuned, "PREFIX", f"{tmp_path}/ours-")
    for folder in ("ours-tuned", "theirs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "autotune_configs.json").write_text("{}")
        tuned.forget({name: str(tmp_path / folder)})
    assert not (tmp_path / "ours-tuned").exists()
    assert (tmp_path / "theirs/autotune_configs.json").exists()
    tuned.forget({})
    del sys.modules["tuned"]
