"""The search for secrets of the virtual cluster, here over this machine; and what a verb says of secrets that are refused."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import canary
import pytest
from conftest import ROOT

VALUES = {"one": f"one{secrets.token_hex(20)}", "two": f"two{secrets.token_hex(20)}"}
WANTED = canary.needles(VALUES)


def names(found: list[canary.Needle]) -> list[tuple[str, str]]:
    return sorted({(needle.value, needle.form) for needle in found})


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_a_value_is_found_within_base64_wherever_it_begins(before: int, after: int) -> None:
    text = base64.b64encode(b"<" * before + VALUES["one"].encode() + b">" * after)
    assert names(canary.in_text(text, WANTED)) == [("one", "base64")]
    assert canary.in_text(base64.b64encode(b"<" * before + VALUES["one"][1:].encode() + b">"), WANTED) == []


@pytest.mark.parametrize("at", [0, canary.CHUNK - 20, canary.CHUNK, 2 * canary.CHUNK - 1])
def test_a_value_is_found_across_two_chunks(at: int) -> None:
    text = b"." * at + VALUES["two"].encode() + b"." * canary.CHUNK
    assert names(canary.within(io.BytesIO(text), WANTED)) == [("two", "as it is")]


def test_files_are_searched_that_changed_since_by_content_name_and_mode(tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    (folder / "plain").write_text(f"token={VALUES['one']}")
    (folder / "plain").chmod(0o640)
    with gzip.open(folder / "log.gz", "wt") as file:
        file.write(VALUES["two"])
    (folder / "no.gz").write_text(VALUES["two"])
    (folder / f"{VALUES['one']}.txt").touch()
    (folder / "clean").write_text("nothing")
    (folder / "out").symlink_to(folder / "plain")
    (tmp_path / "passed").mkdir()
    (tmp_path / "passed/plain").write_text(VALUES["one"])
    # An older time is what somebody set; ctime is not his to set.
    os.utime(folder / "plain", (1, 1))
    passed = [str(tmp_path / "passed")]
    found = canary.files([str(tmp_path)], time.time() - 60, passed, WANTED)
    where = {(Path(one["where"]).name.replace(VALUES["one"], "ONE"), one["value"], one["mode"]) for one in found}
    assert where == {("plain", "one", "0640"), ("log.gz", "two", "0644"), ("no.gz", "two", "0644"), ("ONE.txt", "one", "0644")}
    assert canary.files([str(tmp_path)], time.time() + 60, passed, WANTED) == []
    (folder / "plain").unlink()
    assert "plain" not in {Path(one["where"]).name for one in canary.files([str(tmp_path)], 0, passed, WANTED)}


def test_processes_are_searched_by_command_line_and_environment() -> None:
    observer = canary.Observer(VALUES)
    observer.start()
    script = "import time; print(flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", script, VALUES["one"]]
    child = subprocess.Popen(argv, env={**os.environ, "SECRET": VALUES["two"]}, stdout=subprocess.PIPE)
    try:
        assert child.stdout
        child.stdout.readline()
        assert [one["value"] for one in canary.processes("cmdline", WANTED)] == ["one"]
        (found,) = canary.processes("environ", WANTED)
        assert (found["value"], found["process"][:6]) == ("two", "python")
        deadline = time.monotonic() + 10
        while not observer.found and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    assert {one["value"] for one in observer.stop()} == {"one"}
    assert canary.processes("cmdline", WANTED) == []


def test_a_command_that_fails_is_no_clean_one() -> None:
    assert [one["value"] for one in canary.output(["echo", VALUES["two"]], WANTED)] == ["two"]
    with pytest.raises(RuntimeError, match="exit code 3"):
        canary.output(["sh", "-c", "exit 3"], WANTED)


def test_a_finding_never_shows_what_it_found() -> None:
    (needle,) = canary.in_text(VALUES["one"].encode(), WANTED)
    assert VALUES["one"] not in json.dumps(canary.said("there", needle, mode="0600"))


# Where owners put them, and what is said of each: in variables of the site, in flags of a profile, in what the command line overrides.
SITE = ("gx10_env.HF_TOKEN", "gx10_env.VLLM_API_KEY", "gx10_env.HTTPS_PROXY", "gx10_env.GX10_PASSWORD", "gx10_env.RAY_AUTH_TOKEN")
PROFILE = ("args.api-key", "env.OPENAI_API_KEY", "args.hf-token", "env.AWS_SECRET_ACCESS_KEY")


@pytest.mark.parametrize("keys", [SITE, PROFILE])
def test_a_secret_that_is_refused_is_not_shown(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """Not in the problems, and not in what ansible prints with -vvv and --diff."""
    made = {key: f"x{secrets.token_hex(20)}" for key in keys}
    value = {**dict.fromkeys((*SITE, *PROFILE), ""), **made}
    text = (ROOT / "model_profiles/sim-tiny-tp2.yml").read_text()
    if keys is PROFILE:
        text = text.replace("args:\n", f"args:\n  api-key: {value[PROFILE[0]]}\n")
        text = text.replace("env:\n", f"env:\n  OPENAI_API_KEY: {value[PROFILE[1]]}\n")
        variables: dict[str, Any] = {
            "override": {"args": {"hf-token": value[PROFILE[2]]}, "env": {"AWS_SECRET_ACCESS_KEY": value[PROFILE[3]]}}
        }
    else:
        env = {key.removeprefix("gx10_env."): value[key] for key in SITE}
        variables = {"gx10_env": {**env, "HTTPS_PROXY": f"http://me:{value[SITE[2]]}@192.0.2.1"}}
    (tmp_path / "own.yml").write_text(text)
    (tmp_path / "site.json").write_text(json.dumps(variables))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(ROOT / "inventories/sample"), str(ROOT / "plan.yml")]
    argv += ["-vvv", "--diff", "-e", f"@{tmp_path}/site.json", "-e", "profile=own", "-e", f"model_profiles_path={tmp_path}"]
    ours = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, env=ours, cwd=tmp_path)
    output = done.stdout + done.stderr
    assert done.returncode
    shown = {key: [line[: line.index(found)][-90:] for line in output.splitlines() if found in line] for key, found in made.items()}
    assert {key: lines for key, lines in shown.items() if lines} == {}
    assert [key for key in keys if f"{key}: found" not in output] == [], output[-3000:]
