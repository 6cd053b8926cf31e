"""Role notify's program as a process of its own, with a real HTTP receiver and a real command: what comes, and what does not."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from notifiers import SECRET, Receiver, Site, importing, receiving
from test_supervisor import eventually, free_port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    one.kill()


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    yield from receiving()


@pytest.fixture
def program() -> Iterator[Any]:
    yield from importing()


def test_a_webhook_is_told_in_order_with_the_secret_where_it_belongs(site: Site, receiver: Callable[..., Receiver]) -> None:
    there = receiver(200)
    (site.folder / "secret").write_text(f"{SECRET}\n")
    (site.folder / "secret").chmod(0o600)
    for number, event in enumerate(["serving", "failing", "restarting"], 1):
        site.note(number, event)
    url = f"http://127.0.0.1:{there.port}/hooks/{{secret}}?who=a"
    site.start(url=url, headers={"Authorization": "Bearer {secret}"}, secret_file=str(site.folder / "secret"))
    output = site.ends()
    assert [item["body"]["event"] for item in there.requests] == ["serving", "failing", "restarting"]
    first = there.requests[0]
    assert first["path"] == f"/hooks/{SECRET}?who=a"
    assert (first["headers"]["Authorization"], first["headers"]["Content-Type"]) == (f"Bearer {SECRET}", "application/json")
    assert first["body"] == {
        "sequence": 1, "time": 1764500000.5, "event": "serving", "profile": "tiny", "node": "n0", "launch": "sha256:1", "generation": 1,
        "restarts": 0, "limit": 3, "reason": "", "text": "tiny: serving", "dropped": 0,
    }  # fmt: skip
    assert SECRET not in output
    assert list(site.spool.iterdir()) == []
    assert [path.name for path in site.queue.rglob("*") if path.is_file()] == ["webhook.last"]


def test_nobody_listens_then_errors_then_200_and_nothing_is_lost(site: Site, receiver: Callable[..., Receiver]) -> None:
    port = free_port()
    for number in range(1, 6):
        site.note(number)
    site.start(url=f"http://127.0.0.1:{port}/x")
    assert eventually(lambda: not list(site.spool.iterdir()), 10), "a receiver that is away keeps the spool"
    site.note(6)
    time.sleep(0.5)
    there = receiver(500, 503, 404, 429, 200, port=port)
    output = site.ends()
    assert there.told() == [1, 2, 3, 4, 5, 6]
    assert [item["body"]["sequence"] for item in there.requests][:5] == [1, 1, 1, 1, 1]
    assert "Connection refused" in output
    assert "found status 500; wanted 2xx; tried again in" in output


def test_it_is_killed_and_the_next_one_goes_on(site: Site, receiver: Callable[..., Receiver]) -> None:
    port = free_port()
    for number in range(1, 4):
        site.note(number)
    site.start(url=f"http://127.0.0.1:{port}/x")
    assert eventually(lambda: not list(site.spool.iterdir()), 10)
    site.kill()
    site.note(4)
    there = receiver(200, port=port)
    site.start(url=f"http://127.0.0.1:{port}/x")
    site.ends()
    assert there.told() == [1, 2, 3, 4]


def test_an_outage_beyond_the_bound_says_what_it_dropped(site: Site, receiver: Callable[..., Receiver]) -> None:
    port = free_port()
    for number in range(1, 3):
        site.note(number)
    there = receiver(200, port=port)
    site.start(url=f"http://127.0.0.1:{port}/x", bound=5)
    site.ends()
    there.stop()
    for number in range(3, 15):
        site.note(number)
    site.start(url=f"http://127.0.0.1:{port}/x", bound=5)
    assert eventually(lambda: not list(site.spool.iterdir()), 10)
    assert len(list((site.queue / "webhook").iterdir())) == 5
    later = receiver(200, port=port)
    output = site.ends()
    assert there.told() + later.told() == [1, 2, 10, 11, 12, 13, 14]
    assert [item["body"]["dropped"] for item in later.requests if item["answer"] == 200] == [7, 0, 0, 0, 0]
    assert "notice 10 (serving): 7 before it were dropped" in output


def test_what_the_receiver_refuses_is_dropped_and_counted(site: Site, receiver: Callable[..., Receiver]) -> None:
    there = receiver(200, 400, 200)
    for number in range(1, 4):
        site.note(number)
    site.start(url=f"http://127.0.0.1:{there.port}/x")
    output = site.ends()
    assert [(item["body"]["sequence"], item["body"]["dropped"]) for item in there.requests] == [(1, 0), (2, 0), (3, 1)]
    assert "notice 2 (serving): 127.0.0.1" in output and "found status 400; wanted 2xx; it is dropped" in output


def test_a_command_gets_json_and_its_exit_code_counts(site: Site) -> None:
    """0: told; 75: again; another: dropped; in order."""
    script = site.folder / "hook"
    script.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nfound = json.load(sys.stdin)\n"
        f"seen = open('{site.folder}/seen', 'a')\nprint(found['sequence'], found['event'], file=seen)\n"
        f"first = not os.path.exists('{site.folder}/again')\n"
        f"if found['sequence'] == 2 and first:\n    open('{site.folder}/again', 'w')\n    sys.exit(75)\n"
        "sys.exit(1 if found['sequence'] == 3 else 0)\n"
    )
    script.chmod(0o755)
    for number in range(1, 5):
        site.note(number, "down")
    site.start(command=[str(script), "with an argument"])
    output = site.ends()
    assert (site.folder / "seen").read_text().split("\n") == ["1 down", "2 down", "2 down", "3 down", "4 down", ""]
    assert "asks for another try" in output and "found exit code 1; wanted 0, or 75" in output
    assert "notice 4 (down): 1 before it were dropped" in output


def test_a_command_that_does_not_end_is_killed_with_what_it_started(site: Site, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program["command"], "SECONDS", 0.5)
    mark = f"{free_port()}8642"
    with pytest.raises(program["sender"].Later, match="did not end within"):
        program["command"].Command(["/bin/sh", "-c", f"sleep {mark} & sleep {mark}"]).tell(b"{}")
    assert eventually(lambda: not [1 for path in Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in read(path)], 5)
    with pytest.raises(program["sender"].Refused, match="wanted a program"):
        program["command"].Command([str(site.folder / "none")]).tell(b"{}")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_what_whoever_is_root_in_the_container_puts_there_does_no_harm(site: Site, receiver: Callable[..., Receiver]) -> None:
    there = receiver(200)
    victim = site.folder / "victim"
    victim.mkdir()
    (victim / "kept.json").write_text("{}")
    (site.spool / "1.json").symlink_to(victim / "kept.json")
    os.mkfifo(site.spool / "2.json")
    (site.spool / "3.json").write_text("x" * 20000)
    (site.spool / "4.json").write_text("[" * 5000)
    (site.spool / "5.json/inner").mkdir(parents=True)
    (site.spool / "5.json/inner/link").symlink_to(victim)
    (site.spool / ".hidden").write_text("{}")
    with socket.socket(socket.AF_UNIX) as one:
        # Its path has a bound.
        before = os.getcwd()
        os.chdir(site.spool)
        one.bind("6.json")
        os.chdir(before)
    changes: list[dict[str, Any]] = [{"event": "other"}, {"generation": -1}, {"text": 1}, {"time": "x"}, {"limit": True}]
    for number, change in enumerate(changes, 10):
        site.note(number, **change)
    site.note(20, text="tiny:\nserving\x1b[31m", more="x")
    site.start(url=f"http://127.0.0.1:{there.port}/x")
    site.ends()
    assert [(item["body"]["sequence"], item["body"]["text"]) for item in there.requests] == [(20, "tiny: serving [31m")]
    assert "more" not in there.requests[0]["body"]
    assert list(site.spool.iterdir()) == []
    assert (victim / "kept.json").read_text() == "{}"
    # A link in the place of the folder leads nowhere.
    site.spool.rmdir()
    site.spool.symlink_to(victim)
    site.start(url=f"http://127.0.0.1:{there.port}/x")
    site.ends()
    assert (victim / "kept.json").exists() and not site.spool.is_symlink()


def test_who_is_not_told_any_more_has_nothing_left(site: Site) -> None:
    site.note(1)
    site.start(url=f"http://127.0.0.1:{free_port()}/x")
    assert eventually(lambda: (site.queue / "webhook").is_dir() and len(list((site.queue / "webhook").iterdir())) == 1, 10)
    site.kill()
    site.start(command=["/bin/true"])
    site.ends()
    assert not (site.queue / "webhook").exists()


def test_pauses_grow_and_a_receiver_may_ask_for_more(program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sender = program["sender"]
    pauses: list[float] = []
    asked = iter([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, 9999.0])

    class Away:
        def tell(self, _body: bytes) -> None:
            raise sender.Later("away", next(asked))

    class Rest:
        def wait(self, seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 9:
                raise SystemExit

    box = program["outbox"].Outbox(str(tmp_path), "webhook")
    box.put({"sequence": 1, "event": "down"})
    one = sender.Sender("webhook", Away(), box, 1.0)
    monkeypatch.setattr(one, "_rest", Rest())
    with pytest.raises(SystemExit):
        one.run()
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 100.0, 300.0]


def test_a_write_that_was_cut_starts_it_once_and_not_for_ever(site: Site) -> None:
    """systemd looks whether the folder is empty."""
    box = site.queue / "command"
    box.mkdir(parents=True)
    (box / "000000000001.json.new").write_text('{"sequ')
    site.start(command=["/bin/true"])
    site.ends()
    assert list(box.iterdir()) == []


def test_an_outbox_that_cannot_be_read_for_a_while_ends_no_sender(program: Any) -> None:
    told: list[bytes] = []

    class Box:
        """A stub: of a machine that is out of file descriptors, twice."""

        bound, failures = 1, 2

        def names(self) -> list[str]:
            if self.failures:
                self.failures -= 1
                raise OSError(24, "Too many open files")
            return ["1.json"] if not told else []

        def first(self) -> Any:
            return ("1.json", {"sequence": 1, "event": "serving", "dropped": 0}) if self.names() else None

        def done(self, _name: str, _notice: Any) -> None:
            pass

    class Target:
        def tell(self, body: bytes) -> None:
            told.append(body)

    sender = program["sender"].Sender("command", Target(), Box(), 0.01)
    sender.start()
    assert eventually(lambda: told, 10)
    assert sender.is_alive()
