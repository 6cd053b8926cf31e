"""What a user or an inventory writes stays a value in the configuration of nginx and of systemd."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from conftest import ROOT

sys.path.insert(0, str(ROOT / "roles/fanout/files/fanout"))
from server import config

JOB: dict[str, Any] = {
    "work": "/var/lib/gx10/fanout/run",
    "lanes": 2,
    "port": 8731,
    "listen": ["10.0.0.1", "fd00::1"],
    "allow": ["10.0.0.2"],
}


def test_nginx_listens_on_the_nodes_addresses_and_answers_its_peers_alone() -> None:
    text = config(JOB)
    assert [line.strip() for line in text.splitlines() if "listen" in line or "allow" in line or "deny" in line or "root " in line] == [
        "listen 10.0.0.1:8731;", "listen [fd00::1]:8731;", "allow 10.0.0.2;", "deny all;", "root /var/lib/gx10/fanout/run/files;",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"listen": ["10.0.0.1; root /"]}, {"listen": ["0.0.0.0 default_server"]}, {"listen": [""]}, {"listen": ["node-1"]},
        {"allow": ["all"]}, {"allow": ["10.0.0.2;\nallow all"]}, {"allow": ["0.0.0.0/0"]},
        {"work": "/var/lib/gx10; autoindex on"}, {"work": "/var/lib/a b"}, {"work": "/var/lib/'a"}, {"work": '/var/lib/"a'},
        {"work": "/var/lib/$document_root"}, {"work": "/var/{lib}"}, {"work": "/var/lib\n"}, {"work": "relative"},
    ],
    ids=str,
)  # fmt: skip
def test_finding_11_nothing_else_gets_into_nginx(changed: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match=r"wanted (an IP address|a path of letters)"):
        config({**JOB, **changed})


ODD = "a b'c\"d\\e;f%h$HOME{{x}}ü"


def trusted(value: Any) -> Any:
    """As Ansible marks what it reads from a role."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    return trust_as_template(value) if isinstance(value, str) else value


def unit(**changes: Any) -> str:
    """The service, rendered as the role renders it."""
    role = ROOT / "roles/nightly"
    given = {
        "nightly_profile": "p", "nightly_gate_profile": "", "nightly_inventory": "/i", "nightly_folder": "/f", "nightly_extra": {},
        "nightly_user": "root", "nightly_command": "/c", "nightly_report": "/r", "ansible_managed": "managed", **changes,
    }  # fmt: skip
    variables = {**given, **trusted(yaml.safe_load((role / "vars/main.yml").read_text()))}
    source = trusted((role / "templates/gx10-rebuild.service.j2").read_text())
    # As the module template does.
    text: str = Templar(DataLoader(), variables=variables).template(source, escape_backslashes=False)
    return text


def test_finding_11_a_service_is_given_its_words_whole() -> None:
    """As systemd reads them: words in quotes with backslashes, then %% and $$ (systemd.service(5))."""
    changes = {
        "nightly_profile": ODD,
        "nightly_gate_profile": ODD,
        "nightly_inventory": ODD,
        "nightly_report": ODD,
        "nightly_folder": "/%h",
    }
    text = unit(**changes, nightly_extra={"mods_path": ODD})
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line.removeprefix("ExecStart="))]
    assert words[:5] == ["/c", "gx10.serving.rebuild_nightly", "-i", ODD, "-e"]
    assert yaml.safe_load(words[5]) == {"mods_path": ODD, "profile": ODD, "report": ODD, "gate_profile": ODD}
    assert len(words) == 6
    assert "WorkingDirectory=/%%h" in text.splitlines()
    assert "gate_profile" not in unit()


def test_finding_11_a_service_has_no_line_of_a_users() -> None:
    """Every text that stands in a unit is asked for control characters before the unit is written."""
    tasks = yaml.safe_load((ROOT / "roles/nightly/tasks/main.yml").read_text())
    names = [task["name"] for task in tasks]
    (refuse,) = [task for task in tasks if task["name"] == "Refuse what a unit cannot hold"]
    assert names.index(refuse["name"]) < names.index("Write the service and its timer")
    shown = Templar(DataLoader(), variables={"item": {"key": "profile", "value": "p\nExecStartPre=/x"}})
    assert not shown.evaluate_conditional(trusted(refuse["ansible.builtin.assert"]["that"]))
    plain = Templar(DataLoader(), variables={"item": {"key": "profile", "value": ODD}})
    assert plain.evaluate_conditional(trusted(refuse["ansible.builtin.assert"]["that"]))
    inputs = {
        word for path in (ROOT / "roles/nightly/templates").glob("*") for word in path.read_text().split() if word.startswith("nightly_")
    }
    named = {word.split("_", 1)[1].strip("()}|,") for word in inputs}
    assert all(f"nightly_{name}" in refuse["loop"] for name in named), named
