"""Who may be told, and what is installed for it: no secret in a setting, a plan or a message."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _inventory, _notify, _resolve
from conftest import hostvars

HOOK = "https://hooks.example.org/services/{secret}"
FILE = "~/hook"


def read(**site: Any) -> list[Any]:
    given = {f"gx10_notify_{key}": value for key, value in site.items()}
    return _inventory.read(hostvars(1, **given), ["gx10-1"], "i")[1]


@pytest.mark.parametrize(
    "site",
    [
        {},
        {"command": None, "url": None, "headers": {}, "secret_file": None},
        {"command": [], "url": "", "secret_file": ""},
        {"command": ["/usr/bin/logger", "-t", "a text; with $(all) of it"]},
        {"url": "http://192.168.1.9:8080/hook"},
        {"url": "https://[fd00::1]:8443/hook?who=gx10"},
        {"url": "https://ntfy.example.org/our-four-machines-in-the-basement"},
        {"url": HOOK, "secret_file": FILE},
        {"url": "https://a.example.org/x", "headers": {"Authorization": "Bearer {secret}", "X-Priority": "5"}, "secret_file": "/etc/hook"},
    ],
)
def test_what_is_fine(site: dict[str, Any]) -> None:
    assert [str(problem) for problem in read(**site)] == []


SECRETS = (
    "xoxb0123456789abcdefABCDEF",
    "T00000000/B00000000/abcdefghij0123456789ABCD",
    "2f1a0b9c-0000-4a4a-8b8b-0123456789ab",
    "hunter2:pw",
)


@pytest.mark.parametrize(
    ("site", "key", "code"),
    [
        ({"command": "/bin/true"}, "command", "wrong-type"),
        ({"command": ["true"]}, "command", "wrong-path"),
        ({"command": ["/bin/sh", 5]}, "command", "wrong-type"),
        ({"command": ["/bin/true"] * 65}, "command", "wrong-type"),
        *[
            ({"url": url}, "url", "wrong-text")
            for url in ("ftp://a/b", "https://", "https://a b/", "https://a:99999/", "https://é/", 1, ["x"])
        ],
        ({"url": "https://{secret}/x", "secret_file": FILE}, "url", "wrong-text"),
        ({"url": f"https://a/services/{SECRETS[1]}"}, "url", "secret"),
        ({"url": f"https://a/{SECRETS[2]}"}, "url", "secret"),
        ({"url": f"https://{SECRETS[3]}@a/x"}, "url", "secret"),
        ({"url": "https://a/x?token=abc"}, "url", "secret"),
        ({"url": "https://a/x", "headers": {"Authorization": f"Bearer {SECRETS[0]}"}}, "headers.Authorization", "secret"),
        ({"url": "https://a/x", "headers": {"X-Other": SECRETS[0]}}, "headers.X-Other", "secret"),
        ({"url": "https://a/x", "headers": {"Host": "b"}}, "headers", "wrong-name"),
        ({"url": "https://a/x", "headers": {"A b": "c"}}, "headers", "wrong-name"),
        ({"url": "https://a/x", "headers": {"A": "b\r\nC: d"}}, "headers.A", "control-character"),
        ({"url": "https://a/x", "headers": {"A": "é"}}, "headers.A", "wrong-text"),
        ({"url": "https://a/x", "headers": ["A"]}, "headers", "wrong-type"),
        ({"url": HOOK}, "secret_file", "missing"),
        ({"url": "https://a/x", "secret_file": FILE}, "secret_file", "needs"),
        ({"url": HOOK, "secret_file": "hook"}, "secret_file", "wrong-path"),
        ({"url": HOOK.replace("https", "http"), "secret_file": FILE}, "url", "secret"),
        ({"headers": {"A": "b"}}, "headers", "needs"),
        ({"secret_file": FILE}, "secret_file", "needs"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_shown(site: dict[str, Any], key: str, code: str) -> None:
    found = read(**site)
    assert [(problem.key, problem.code) for problem in found] == [(f"gx10_notify_{key}", code)]
    assert [secret for secret in SECRETS if secret in str(found[0])] == []


def planned(resolve: Any, **site: Any) -> Any:
    given = {f"gx10_notify_{key}": value for key, value in site.items()}
    found = resolve("sim-tiny-tp2", variables=hostvars(2, **given))
    assert found["plan"], found["message"]
    return found["plan"]


def test_what_is_installed_says_where_and_has_no_secret(resolve: Any) -> None:
    plan = planned(resolve, url=HOOK, secret_file=FILE, command=["/bin/cat"])
    notify = plan["notify"]
    assert notify["secret_file"] == FILE
    assert json.loads(notify["texts"]["config.json"]) == {
        "spool": "/var/lib/gx10/notices/spool", "queue": "/var/lib/gx10/notify/queue", "command": ["/bin/cat"], "url": HOOK, "headers": {},
        "secret_file": "/var/lib/gx10/notify/secret",
    }  # fmt: skip
    assert "DirectoryNotEmpty=/var/lib/gx10/notices/spool\n" in notify["texts"]["gx10-notify.path"]
    assert "ExecStart=/usr/bin/python3 -B /var/lib/gx10/notify/installed/program /var" in notify["texts"]["gx10-notify.service"]
    # Neither what is told nor where is an argument of a process.
    assert "hooks.example.org" not in notify["texts"]["gx10-notify.service"]
    (path, service), config = _notify.unit_files(notify), _notify.config_file(notify)
    assert [(one["path"], one["mode"]) for one in (path, service, config)] == [
        ("gx10-notify.path", "0644"), ("gx10-notify.service", "0644"), ("config.json", "0600"),
    ]  # fmt: skip
    assert base64.b64decode(config["content"]).decode() == notify["texts"]["config.json"]


def test_who_is_told_restarts_no_engine_and_another_way_is_another_hash(resolve: Any) -> None:
    plans = [
        planned(resolve),
        planned(resolve, url="https://a/x"),
        planned(resolve, url="https://a/y"),
        planned(resolve, command=["/bin/cat"]),
    ]
    assert plans[0]["notify"] is None
    assert len({plan["hash"] for plan in plans}) == 1
    assert len({plan["notify"]["hash"] for plan in plans[1:]}) == 3


def test_a_record_of_before_there_were_notices_can_be_read(resolve: Any) -> None:
    plan = planned(resolve)
    del plan["notify"]
    assert _resolve.other_format({"plan": plan}) == ""
