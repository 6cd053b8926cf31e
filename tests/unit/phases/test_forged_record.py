"""Root on one node writes that node's record: `status` asks nobody else what it says."""

from __future__ import annotations

import copy
import http.server
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.phases import _gate
from ansible_collections.gx10.serving.plugins.modules import api_info
from conftest import ROOT, hostvars

IMAGE = "sha256:" + "1" * 64


@pytest.fixture
def record(resolve: Any) -> Any:
    return {"plan": resolve("sim-tiny-tp2", variables=hostvars(2))["plan"], "image_id": IMAGE}


def looks(*records: Any) -> Any:
    return {f"gx10-{number}": {"containers": [], "listeners": [], "record": one} for number, one in enumerate(records, 1)}


def test_the_heads_own_record_is_asked(record: Any) -> None:
    infos = looks(record, copy.deepcopy(record))
    assert _gate.answers_for(_gate.served_record(infos), infos) and _gate.head_checks(record, infos) == []
    # A gate that did not pass on the other node is no reason not to ask.
    assert _gate.answers_for(record, looks(record, {}))


@pytest.mark.parametrize("own", ["nothing", "another plan", "another URL"])
def test_a_record_that_makes_another_node_the_head_is_not_carried_out(record: Any, own: str) -> None:
    forged = copy.deepcopy(record)
    forged["plan"]["nodes"].reverse()
    forged["plan"]["ready"]["url"] = "file:///etc/shadow#:8000"
    theirs = {
        "nothing": {},
        "another plan": {**record, "plan": {**record["plan"], "hash": "sha256:x"}},
        # All that a record names may be copied.
        "another URL": record,
    }[own]
    infos = looks(forged, theirs)
    assert _gate.served_record(infos) == forged
    assert not _gate.answers_for(forged, infos)
    (found,) = _gate.head_checks(forged, infos)
    assert (found["node"], found["ok"]) == ("gx10-2", False) and "what gx10-1's says" in found["wanted"]
    # Of a head that does not answer, the nodes' check says so.
    assert _gate.head_checks(forged, looks(forged)) == []
    assert not _gate.answers_for(forged, looks(forged))


def test_status_asks_only_then() -> None:
    tasks = yaml.safe_load((ROOT / "playbooks/status.yml").read_text())[1]
    (ask,) = [task for task in tasks["tasks"] if "gx10.serving.api_info" in task]
    assert (ask["when"], "_served_by_head" in tasks["vars"]["status_asks"]) == ("status_asks", True)


def test_the_api_is_asked_over_http_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    for url in (f"file://{secret}", f"file://{secret}#", f"ftp://127.0.0.1{secret}", f"data:,{secret}"):
        assert api_info.ask(url, 5)[0] == 0
        assert "a secret" not in api_info.ask(url, 5)[1]


def test_the_api_leads_nowhere_else() -> None:
    asked: list[str] = []

    class Redirects(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Redirects) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, _text = api_info.ask(f"http://127.0.0.1:{server.server_port}/health", 5)
        server.shutdown()
    assert (status, asked) == (302, ["/health"])


@pytest.mark.parametrize("host", ["127.0.0.1", "[fd00::1]", "192.168.1.11", "spark1.local"])
def test_a_plans_url_is_one(host: str) -> None:
    assert api_info.URL.fullmatch(f"http://{host}:8000")


@pytest.mark.parametrize(
    "url", ["file:///x#:8000", "http://a:8000/x", "http://a:8000#", "http://a@b:8000", "http://a:8000\n", "HTTP://a:1"]
)
def test_what_is_no_plans_url(url: str) -> None:
    assert not api_info.URL.fullmatch(url)
