"""Secrets and keys in playbooks: no task shows one, and nobody's host key is taken unseen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from conftest import ROOT

FILES = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]
# A password that is made, or a file of a token or a secret that is read or sent.
SECRET = re.compile(r"ansible\.builtin\.password|'src': '[^']*(token|secret)")


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """Every task of a document, blocks without their tasks."""
    if isinstance(value, list):
        for item in value:
            yield from tasks(item)
    elif isinstance(value, dict):
        inner = [value.get(key, []) for key in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks")]
        if any(inner):
            for item in inner:
                yield from tasks(item)
        else:
            yield value


def test_a_task_that_sees_a_secret_shows_nothing_of_it() -> None:
    found = {}
    for path in FILES:
        for task in tasks(yaml.safe_load(path.read_text())):
            if SECRET.search(str(task)):
                found[task["name"]] = (task.get("no_log"), task.get("diff"))
    assert found == {
        "replace | Make the run folder, with the launch's secret": (True, False),
        "download | Give the node the token": (True, False),
        "install | Give it the secret": (True, False),
    }


def test_a_host_key_is_checked() -> None:
    """OpenSSH's and Ansible's default; nothing here turns it off."""
    loose = re.compile(r"StrictHostKeyChecking|UserKnownHostsFile|host_key_checking|HOST_KEY_CHECKING|accept_hostkey", re.IGNORECASE)
    code = [
        path for folder in ("plugins", "roles", "playbooks", "inventories/sample") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    read = [path for path in [*code, ROOT / "ansible.cfg"] if path.suffix in {".py", ".yml", ".j2", ".cfg"}]
    assert len(read) > 100
    assert [str(path) for path in read if loose.search(path.read_text())] == []
