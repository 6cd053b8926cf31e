"""A checkpoint's own code: the plan says which files run and what holds them, from the first use on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _weights
from ansible_collections.gx10.serving.plugins.module_utils.plan import _code, _commands, _pins, _resolve, _sources
from conftest import ROOT, edited, hostvars

NAME, REPO = "qwen397-mtp2", "Qwen/Qwen3.5-397B-A17B-FP8"
HASH, OTHER, COMMIT = "sha256:" + "a" * 64, "sha256:" + "b" * 64, "c" * 40
MANIFEST: Any = {
    "repo": REPO,
    "revision": None,
    "hash": HASH,
    "files": [{"path": name, "size": 1, "sha256": "d" * 64} for name in ("config.json", "modeling_x.py", "sub/more.py")],
}
CODE = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml") if "trust-remote-code: true" in path.read_text())


def write(pins: Path, file: dict[str, str]) -> Path:
    """As the module node_files does."""
    path = pins / file["path"]
    path.parent.mkdir(parents=True)
    path.write_bytes(base64.b64decode(file["content"]))
    return path


def plan(model: dict[str, Any] | None = None, pins: Path | None = None, name: str = NAME, folder: Path | None = None) -> Any:
    sources = _sources.read(name, checkpoints={REPO: str(folder)} if folder else {}, pins=str(pins or ""))
    own = {} if model is None else {"model": {"repo": REPO, "served_name": "q", "size_gib": 379, **model}}
    variables = hostvars()
    return _resolve.resolve(edited(sources, **own), variables, list(variables), None, True)


@pytest.mark.parametrize("name", [name for name in CODE if name != "qwen397-mtp5"])
def test_a_shipped_profile_that_runs_code_plans_and_says_so(name: str) -> None:
    found = plan(name=name)
    assert found["problems"] == []
    (one,) = found["plan"]["remote_code"]
    assert (one["manifest"], one["held_by"], one["files"]) == (None, None, None), "unknown is said as unknown"
    text = _commands.commands(found["plan"])
    assert f"# Runs code of {one['repo']}: unknown files (nobody has looked into" in text
    assert "its first use will be recorded, and held" in text


def test_there_are_profiles_that_run_code() -> None:
    assert len(CODE) >= 7


def test_a_profile_without_the_flag_runs_none() -> None:
    found = plan(name="sim-tiny-solo")
    assert "remote_code" not in found["plan"]
    assert "Runs code" not in _commands.commands(found["plan"])


def test_what_has_served_is_held_and_its_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, _pins.code_file(MANIFEST, REPO))
    document = json.loads(path.read_text())
    assert document["code"] == {"modeling_x.py": "d" * 64, "sub/more.py": "d" * 64} and "Trust on first use" in document["note"]
    before, after = plan(), plan(pins=tmp_path)
    (model,) = after["plan"]["weights"]["models"]
    assert (model["manifest"], model["held_by"]) == (HASH, str(path))
    assert f"Runs code of {REPO}: modeling_x.py, sub/more.py (as {path} says); held at manifest {HASH}" in _commands.commands(after["plan"])
    assert after["plan"]["hash"] == before["plan"]["hash"], "an engine that runs is not started again for it"
    # Every node's record, and every source, is compared with it.
    info: Any = {"recorded": {**MANIFEST, "hash": OTHER}, "files": [], "problems": [], "hub": {"revision": None, "sha256": {}}}
    (line,) = _weights.truth(model, {"gx10-1": info}, None, "")["problems"]
    assert f"found manifest {OTHER}; wanted {HASH}, as first used: its code runs" in line and line.endswith(f"remove {path}")
    info["recorded"]["hash"] = HASH
    assert _weights.truth(model, {"gx10-1": info}, None, "")["problems"] == []


def test_the_profiles_own_manifest_counts_before_a_first_use(tmp_path: Path) -> None:
    write(tmp_path, _pins.code_file(MANIFEST, REPO))
    found = plan({"manifest": OTHER}, tmp_path)["plan"]
    assert found["weights"]["models"][0]["manifest"] == OTHER and "held_by" not in found["weights"]["models"][0]
    assert found["remote_code"][0]["held_by"] == "the profile"


def test_another_commit_is_another_first_use(tmp_path: Path) -> None:
    committed: Any = {**MANIFEST, "revision": COMMIT}
    write(tmp_path, _pins.code_file(committed, REPO))
    assert plan({"revision": COMMIT}, tmp_path)["plan"]["weights"]["models"][0]["manifest"] == HASH
    assert plan({"revision": "e" * 40}, tmp_path)["plan"]["weights"]["models"][0]["manifest"] is None


@pytest.mark.parametrize("revision", ["main", "v1.0", "c" * 39, "C" * 40])
def test_a_revision_that_moves_is_none(revision: str) -> None:
    (problem,) = plan({"revision": revision})["problems"]
    assert f"model.revision: found {revision!r}; wanted text like ^[0-9a-f]{{40}}$" in problem


@pytest.mark.parametrize("text", ["", "{}", '{"manifest": "main", "code": {}}', f'{{{{"manifest": "{HASH}", "code": []}}}}'])
def test_a_record_that_cannot_be_read_stops_the_plan(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, _pins.code_file(MANIFEST, REPO))
    path.write_text(text)
    (problem,) = plan(pins=tmp_path)["problems"]
    assert problem.startswith(f"{path}: found ") and "wanted the record of a first use. Restore it, or remove it" in problem
    assert plan(pins=tmp_path, name="sim-tiny-solo")["problems"] == []


def test_a_folder_on_the_control_node_tells_the_files_and_what_is_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    published = json.loads((ROOT / "plugins/module_utils/plan/configs/qwen3.5-397b-a17b-fp8.json").read_text())["config"]
    mapped = {"AutoConfig": "configuration_x.Config", "AutoModel": ["modeling_x.Model", None]}
    (folder / "config.json").write_text(json.dumps({**published, "mtp_num_hidden_layers": 1, "auto_map": mapped}))
    (folder / "helper.py").write_text("")
    found = plan(folder=folder)
    assert found["problems"] == []
    assert found["plan"]["remote_code"][0]["files"] == ["configuration_x.py", "helper.py", "modeling_x.py"]
    (folder / "config.json").write_text(json.dumps({**published, "mtp_num_hidden_layers": 1, "auto_map": {"A": "evil/repo--modeling.X"}}))
    (problem,) = plan(folder=folder)["problems"]
    assert "config.json: auto_map: found code of 'evil/repo'; wanted code in the checkpoint itself" in problem


def test_names_that_no_file_can_have_are_a_problem_and_not_the_plans_text(tmp_path: Path) -> None:
    names = {"AutoConfig": "a" * 10_000_000 + ".B", **{f"Auto{number}": f"modeling_{number:03d}.C" for number in range(300)}}
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": names}))
    found = plan(folder=tmp_path)
    (problem,) = (one for one in found["problems"] if "auto_map" in one)
    assert "10000003 characters; wanted FILE.CLASS, FILE of at most 255 characters" in problem and len(problem) < 500
    files, _source = _code._files("org/name", _sources._checkpoint(str(tmp_path)), None)
    assert files is not None and (len(files), files[0], files[-1]) == (101, "modeling_000.py", "200 more")


OTHERS = ("tokenizer_config.json", "processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")


@pytest.mark.parametrize("name", ["config.json", *OTHERS])
def test_code_of_another_repository_is_refused_wherever_the_checkpoint_names_it(tmp_path: Path, name: str) -> None:
    published = json.loads((ROOT / "plugins/module_utils/plan/configs/qwen3.5-397b-a17b-fp8.json").read_text())["config"]
    config = {**published, "mtp_num_hidden_layers": 1}

    def told(inner: dict[str, Any]) -> Any:
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / name).write_text(json.dumps({**config, **inner} if name == "config.json" else inner))
        return plan(folder=tmp_path)

    for inner in (
        {"auto_map": {"A": "evil/repo--m.C"}},
        {"vision_config": {"auto_map": {"A": [None, "evil/repo--m.C"]}}},
        {"a": [{"auto_map": {"A": "evil/repo--m.C"}}]},
    ):
        problems = told(inner)["problems"]
        assert any(f"{name}: auto_map: found code of 'evil/repo'" in problem for problem in problems), problems
    assert told({"a": {"auto_map": {"A": "modeling_own.C"}}})["plan"]["remote_code"][0]["files"] == ["modeling_own.py"]


def test_what_may_name_code_and_cannot_be_read_is_refused_with_the_flag_alone(tmp_path: Path) -> None:
    published = json.loads((ROOT / "plugins/module_utils/plan/configs/qwen3.5-397b-a17b-fp8.json").read_text())["config"]
    (tmp_path / "config.json").write_text(json.dumps({**published, "mtp_num_hidden_layers": 1}))
    (tmp_path / "tokenizer_config.json").write_text("{")
    (problem,) = plan(folder=tmp_path)["problems"]
    assert problem.startswith("tokenizer_config.json: found a file that cannot be read; wanted JSON")
    # What transformers writes for a tokenizer without a bound, int(1e30), and what others have beside it.
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656, "pad": NaN}')
    assert plan(folder=tmp_path)["plan"]
