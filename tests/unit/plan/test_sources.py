"""What lies in a user's folders: whatever it is, it is read within bounds, passed by, or has a problem of its own."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.common import _files
from ansible_collections.gx10.serving.plugins.module_utils.plan import _catalogue, _resolve, _sources
from conftest import ROOT, hostvars

kinds: Any = importlib.import_module("tools.bad_inputs.files")
# By what lies there, what is said of it.
SAID = {
    "a folder": "found a folder",
    "a FIFO": "found a FIFO",
    "a device": "found a device",
    "a terminal": "found a device",
    "a link to a FIFO": "found a FIFO",
    "a dangling link": "found a dangling link",
    "a loop of links": "found a loop of links",
    "a sparse giant": "bytes; wanted at most",
    "a socket": "found a socket",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site's own profile with its image and mod."""
    profile = yaml.safe_load((ROOT / "model_profiles/sim-tiny-tp2.yml").read_text())
    for folder in ("profiles", "images/own", "mods/own"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "profiles/own.yml").write_text(yaml.safe_dump({**profile, "image": "own", "mods": ["own"]}))
    (tmp_path / "images/own/image.yml").write_text((ROOT / "files/images/vllm-node-sim/image.yml").read_text())
    (tmp_path / "mods/own/run.sh").write_text("true\n")
    (tmp_path / "mods/own/mod.yml").write_text("summary: x\n")
    return tmp_path


def read(site: Path, name: str | None = "own", **more: Any) -> Any:
    profiles, images, mods = ([str(site / part)] for part in ("profiles", "images", "mods"))
    return _sources.read(name, profiles, images, mods, **more)


def problems(sources: Any) -> list[str]:
    return _resolve.resolve(sources, hostvars(), list(hostvars()))["problems"]


def test_every_kind_of_file_is_made() -> None:
    assert set(SAID) == set(kinds.kinds_of_file())


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("place", ["profiles/own.yml", "images/own/image.yml", "mods/own/mod.yml", "mods/own/run.sh"])
def test_a_file_that_is_none_is_a_problem_where_it_is_used(site: Path, kind: str, place: str) -> None:
    (site / place).unlink()
    kinds.kinds_of_file()[kind](site / place)
    (problem,) = problems(read(site))
    assert f"{place}: " in problem
    assert SAID[kind] in problem
    table = _catalogue.table(read(site, None))
    assert SAID[kind] in table
    assert "qwen397-mtp2 " in table


@pytest.mark.parametrize("kind", SAID)
def test_what_is_broken_beside_a_plan_is_its_own_affair(site: Path, kind: str) -> None:
    make = kinds.kinds_of_file()[kind]
    for place in ("profiles/other.yml", "images/other/image.yml", "mods/other/run.sh"):
        (site / place).parent.mkdir(exist_ok=True)
        make(site / place)
    assert problems(read(site)) == []
    lines = [line for line in _catalogue.table(read(site, None)).splitlines() if "other" in line]
    assert len(lines) == 3
    assert all(SAID[kind] in line for line in lines)


@pytest.mark.parametrize("kind", [kind for kind in SAID if kind != "a folder"])
@pytest.mark.parametrize("what", ["mods", "images"])
def test_a_mod_and_an_image_are_of_files_alone(site: Path, kind: str, what: str) -> None:
    (site / what / "own/deep").mkdir()
    kinds.kinds_of_file()[kind](site / what / "own/deep/more")
    (problem,) = problems(read(site))
    assert f"{what}/own/deep/more" in problem
    assert SAID[kind] in problem


@pytest.mark.parametrize("name", ["\udcff", "a\nb"])
def test_a_mods_file_has_a_name_that_can_be_said(site: Path, name: str) -> None:
    (site / "mods/own" / name).write_text("x")
    (problem,) = problems(read(site))
    assert problem.endswith("[wrong-name]")


def test_a_mod_is_small(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sources, "MAX_FILES", 2)
    assert problems(read(site)) == []
    (site / "mods/own/more").write_text("x")
    (problem,) = problems(read(site))
    assert "found more than 2 files" in problem


@pytest.mark.parametrize("stranger", kinds.STRANGERS)
def test_strangers_change_nothing(site: Path, stranger: str) -> None:
    plan = _resolve.resolve(read(site), hostvars(), list(hostvars()))["plan"]
    editors = stranger in ("an editor's lock", "an editor's swap file", "a backup")
    for part in ("profiles", "images", "mods", *(("images/own", "mods/own") if editors else ())):
        kinds.STRANGERS[stranger](site / part)
    assert _resolve.resolve(read(site), hostvars(), list(hostvars()))["plan"] == plan
    _catalogue.table(read(site, None)).encode()


def test_a_profile_whose_name_nobody_can_say_is_listed(site: Path) -> None:
    (site / "profiles/my model.yml").write_text("a: 1")
    (site / "profiles/\udcff.yml").write_text("a: 1")
    lines = [line for line in _catalogue.table(read(site, None)).splitlines() if "[wrong-name]" in line]
    assert [line.split("  ")[0] for line in lines] == ["\\udcff", "my model"]


def test_a_link_to_a_file_is_that_file(site: Path) -> None:
    os.rename(site / "profiles/own.yml", site / "elsewhere")
    (site / "profiles/own.yml").symlink_to(site / "elsewhere")
    assert problems(read(site)) == []


@pytest.mark.parametrize("folder", ["", "nothing", "profiles/own.yml", "\x00", "x" * 5000, "~nobody-of-this-name/x", "\udcff"])
def test_a_folder_that_is_none_has_no_profiles(site: Path, folder: str) -> None:
    given = [str(site / folder) if folder not in ("", "\x00") and len(folder) < 99 and folder[0] != "~" else folder]
    assert problems(_sources.read("sim-tiny-tp2", given, given, given, {"gx10/tiny-qwen3": given[0]})) == []


@pytest.mark.parametrize("value", [None, 1, True, ["x"], {"a": 1}])
def test_a_checkpoint_elsewhere_than_in_a_folder_is_the_inventorys_problem(site: Path, value: Any) -> None:
    assert read(site, checkpoints={"gx10/tiny-qwen3": value})["checkpoints"] == {}
    assert read(site, checkpoints=value)["checkpoints"] == {}


@pytest.mark.parametrize(
    ("config", "index", "found"),
    [
        (b"{", None, "config.json: found invalid JSON"),
        (b"[]", None, "config.json: found []; wanted a mapping"),
        (b'{"a": 1' + b"0" * 20 + b"}", None, "config.json: found an integer of 21 digits"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', None, "config.json: found the key 'c' twice"),
        (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", None, "config.json: found more than 40 levels"),
        (b"[" * 200_000, None, "config.json: found more than 40 levels"),
        (b'{"a": "\\udc00"}', None, "config.json: found half a character"),
        (b'{"a": [' + b"1," * 400_001 + b"1]}", None, "config.json: found more than 400000 values"),
        (b'{"a": "\xff"}', None, "config.json: found invalid JSON"),
        (b"{}", b"{}", "index.json: found no weight_map"),
        (b"{}", b'{"weight_map": {"a": 1}}', "index.json: found no weight_map"),
        (b"{}", '{"weight_map": {"\u00e4": "x"}}'.encode(), "index.json: found letters that are not ASCII"),
    ],
)
def test_a_checkpoints_json_is_whole_or_a_problem(site: Path, config: bytes, index: bytes | None, found: str) -> None:
    (site / "config.json").write_bytes(config)
    if index is not None:
        (site / "model.safetensors.index.json").write_bytes(index)
    (problem,) = problems(read(site, checkpoints={"gx10/tiny-qwen3": str(site)}))
    assert found in problem
    assert problems(read(site, checkpoints={"another/model": str(site)})) == []


def test_a_checkpoint_without_a_config_is_none(site: Path) -> None:
    assert read(site, checkpoints={"gx10/tiny-qwen3": str(site)})["checkpoints"] == {"gx10/tiny-qwen3": None}
    (site / "config.json").write_text(json.dumps({"num_hidden_layers": 10**19 - 1}))
    (site / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"b": "x", "a": "x"}}))
    (found,) = read(site, checkpoints={"gx10/tiny-qwen3": str(site)})["checkpoints"].values()
    assert found == {"path": str(site), "config": {"num_hidden_layers": 10**19 - 1}, "tensors": ["a", "b"], "code": []}


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert _files.read(str(tmp_path / "x"), 5) == b"12345"
    monkeypatch.setattr(_files, "check", lambda path, most: 0)
    with pytest.raises(_files.Refused):
        _files.read(str(tmp_path / "x"), 4)
    os.mkfifo(tmp_path / "fifo")
    assert _files.read(str(tmp_path / "fifo"), 4) == b"", "one that became a FIFO is not waited for"


def test_the_index_of_the_largest_checkpoint_of_the_field_is_read(tmp_path: Path) -> None:
    """As ModelOpt writes it for Qwen3.5-397B-A17B-NVFP4: 60 layers, 512 experts, three matrices of four tensors each, 38 MiB."""
    (tmp_path / "config.json").write_text("{}")
    parts = [
        f"{matrix}.{kind}"
        for matrix in ("gate_proj", "up_proj", "down_proj")
        for kind in ("weight", "weight_scale", "weight_scale_2", "input_scale")
    ]
    with open(tmp_path / "model.safetensors.index.json", "w", encoding="ascii") as file:
        file.write('{"metadata": {"total_size": 1}, "weight_map": {"mtp.fc.weight": "model-00011-of-00011.safetensors"')
        for layer in range(60):
            for expert in range(512):
                where = f"model.language_model.layers.{layer}.mlp.experts.{expert}"
                file.writelines(f',\n"{where}.{part}": "model-{layer % 11 + 1:05d}-of-00011.safetensors"' for part in parts)
        file.write("}}")
    found = _sources.read(None, checkpoints={"org/name": str(tmp_path)})["checkpoints"]["org/name"]
    assert found is not None and found.get("problem") is None
    assert found["tensors"] is not None and len(found["tensors"]) == 60 * 512 * 12 + 1
