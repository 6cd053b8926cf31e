"""The bench client on one node: against a stub of an engine's API, as a process of its own; its parsers, at every byte."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from test_supervisor import eventually, free_port

PROGRAM = ROOT / "roles/bench/files/bench"
STUB = ROOT / "tests/unit/stubs/stub_tokens.py"
MODULES = ("api", "exchange", "points", "prompts", "rows")
KEY = "K3Y-of-the-api-91b2"
SWEEP = {"kind": "sweep", "input": 120, "output": 6, "concurrency": 3}


@pytest.fixture(scope="module")
def program() -> Iterator[Any]:
    sys.path.insert(0, str(PROGRAM))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(PROGRAM))
    for name in MODULES:
        del sys.modules[name]


class Bench:
    """The program on one job, beside a stub with its log."""

    def __init__(
        self, folder: Path, model: str, points: list[dict[str, Any]], *, ttft: float = 0.02, gap: float = 0.005, **more: Any
    ) -> None:
        self.folder, self.log = folder, folder / "sent.jsonl"
        self.stub = subprocess.Popen([sys.executable, str(STUB), str(self.log), str(ttft), str(gap)], stdout=subprocess.PIPE, text=True)
        assert self.stub.stdout
        self.port = int(self.stub.stdout.readline())
        job = {
            "work": str(folder), "lease_seconds": 60, "url": f"http://127.0.0.1:{self.port}", "api": "chat", "model": model,
            "sampling": {"temperature": 0.0}, "connect_seconds": 2, "quiet_seconds": 5, "run_seconds": 60, "points": points, **more,
        }  # fmt: skip
        self.job = folder / "job.json"
        self.job.write_text(json.dumps(job))
        self.process = subprocess.Popen([sys.executable, "-B", str(PROGRAM), str(self.job)], stderr=subprocess.PIPE, text=True)

    def wait(self, seconds: float = 20) -> int:
        code = self.process.wait(seconds)
        assert self.process.stderr
        assert self.process.stderr.read() == ""
        return code

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    def runs(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.folder / "runs").glob("*"))]

    def rows(self) -> list[dict[str, Any]]:
        return [row for run in self.runs() for row in run["rows"]]

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        for process in (self.process, self.stub):
            process.kill()
            process.wait()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    started: list[Bench] = []

    def start(*arguments: Any, **more: Any) -> Bench:
        started.append(Bench(tmp_path, *arguments, **more))
        return started[-1]

    yield start
    for one in started:
        one.stop()


# ---- parsers

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = 'data: {"choices": [{"delta": {"content": "süß"}}]}\n\n: a comment\n\ndata: [DONE]\n\n'.encode()


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("body", [BODY, BODY.replace(b"\n", b"\r\n")], ids=["lf", "crlf"])
def test_an_answer_is_the_same_wherever_it_is_cut(program: Any, body: bytes) -> None:
    wire = HEAD + chunked(body[:30], body[30:31], body[31:])
    for at in range(1, len(wire)):
        answer = program.exchange.Answer()
        pieces = [(float(number), answer.feed(part)) for number, part in enumerate((wire[:at], wire[at:]))]
        assert answer.over
        found = list(program.rows.events(pieces))
        assert [data for _stamp, data in found] == [b'{"choices": [{"delta": {"content": "s\xc3\xbc\xc3\x9f"}}]}', b"[DONE]"]
        # An event has the time of its last byte: of the second part, unless the first held all of it.
        assert found[-1][0] == 1.0 or at >= len(wire) - len(b"\r\n0\r\n\r\n")


def test_an_answer_byte_by_byte(program: Any) -> None:
    answer = program.exchange.Answer()
    wire = b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + chunked(BODY[:1], BODY[1:])
    got = b"".join(answer.feed(wire[at : at + 1]) for at in range(len(wire)))
    assert (got, answer.over, answer.status) == (BODY, True, 200)


@pytest.mark.parametrize(
    ("wire", "body", "over", "whole"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nwrong", b"wrong", True, True),
        (b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nwrong", b"wrong", False, False),
        (b"HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n", b"", True, True),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end", False, True),
        (HEAD + b"3\r\nabc\r\n", b"abc", False, False),
        (b"HTTP/1.1 200", b"", False, False),
    ],
)
def test_lengths_and_ends(program: Any, wire: bytes, body: bytes, over: bool, whole: bool) -> None:
    answer = program.exchange.Answer()
    assert (answer.feed(wire), answer.over, answer.end()) == (body, over, whole)


@pytest.mark.parametrize("wire", [b"SSH-2.0-OpenSSH\r\n\r\n", HEAD + b"xyz\r\n", HEAD + b"-5\r\n", b"x" * 70000, HEAD + b"1" * 70000])
def test_what_is_no_http_is_said(program: Any, wire: bytes) -> None:
    with pytest.raises(ValueError):
        program.exchange.Answer().feed(wire)


@pytest.mark.parametrize(("wanted", "depth"), [(60, None), (61, 0.0), (997, None), (5000, 0.5), (5001, 1.0)])
def test_prompts_are_sized_to_the_token_and_none_begins_as_another(program: Any, wanted: int, depth: float | None) -> None:
    stub = importlib.import_module("stubs.stub_tokens")
    kind = "sweep" if depth is None else "needle"
    asked = []

    def count(texts: list[str]) -> list[int]:
        asked.append(len(texts))
        return [stub.tokens(text) for text in texts]

    prompts = [program.prompts.Prompt(kind, program.prompts.salt(), depth) for _ in range(4)]
    program.prompts.fit(prompts, wanted, count)
    texts = [prompt.text() for prompt in prompts]
    assert [stub.tokens(text) for text in texts] == [wanted] * 4
    assert len({text[:30] for text in texts}) == 4
    assert len(asked) < 12
    if depth is not None:
        where = [text.index(f"code for Project Aurora is {prompt.code}.") / len(text) for text, prompt in zip(texts, prompts, strict=True)]
        assert all(abs(share - depth) < (0.1 if wanted > 1000 else 1) for share in where)


def test_a_prompt_that_cannot_be_so_short_is_refused(program: Any) -> None:
    with pytest.raises(ValueError, match="input: found 5 tokens; wanted"):
        program.prompts.fit([program.prompts.Prompt("sweep", "s")], 5, lambda texts: [len(text.split()) for text in texts])


# ---- against the stub


@pytest.mark.parametrize(("api", "model"), [("chat", "stub"), ("chat", "stub-plain"), ("completions", "stub"), ("chat", "stub-split")])
def test_a_row_says_what_was_sent_and_when(bench: Callable[..., Bench], api: str, model: str) -> None:
    one = bench(model, [{**SWEEP, "warmup": 1, "repeats": 2}], api=api)
    assert one.wait() == 0
    assert one.state() | {"now": 0, "started": 0, "pid": 0} == {
        "pid": 0, "phase": "done", "started": 0, "now": 0, "point": 1, "points": 1, "runs": 3, "requests": 9, "errors": 0, "partial": False,
        "failed": [],
    }  # fmt: skip
    runs = one.runs()
    assert [(run["warmup"], run["repeat"], run["clock"], run["partial"]) for run in runs] == [
        (True, 0, "kernel", False), (False, 0, "kernel", False), (False, 1, "kernel", False),
    ]  # fmt: skip
    for row in one.rows():
        assert (row["input"], row["output"], row["cached"], row["finish"], row["error"]) == (120, 6, None, "length", "")
        assert len(row["arrivals"]) == 6
        assert row["start"] <= row["first"] == row["arrivals"][0]
        assert row["arrivals"] == sorted(row["arrivals"]) and row["arrivals"][-1] <= row["end"]
    assert [run["wall"] for run in runs] == [max(row["end"] for row in run["rows"]) for run in runs]


def test_times_are_those_at_which_the_stub_sent(bench: Callable[..., Bench]) -> None:
    """Far above the error that benchmarks/bench_client measures, so that a busy machine does not fail it."""
    one = bench("stub-numbered", [{**SWEEP, "concurrency": 8}], gap=0.03)
    assert one.wait() == 0
    logs = {log["id"]: log for log in one.sent()}
    for row in one.rows():
        log = logs[f"cmpl-{row['cached']}"]
        assert row["first"] - row["start"] == pytest.approx(log["sent"][0] - log["got"], abs=0.02)
        assert row["arrivals"][-1] - row["first"] == pytest.approx(log["sent"][-1] - log["sent"][0], abs=0.02)


def test_a_sweep_asks_as_the_reports_do_and_never_twice_the_same(bench: Callable[..., Bench]) -> None:
    sweep, needle = {**SWEEP, "repeats": 2}, {"kind": "needle", "input": 200, "output": 4, "depths": [0.5]}
    one = bench("stub", [sweep, {**SWEEP, "cached": True}, needle])
    assert one.wait() == 0
    whole = {"model": "stub", "max_tokens": 6, "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.0}
    logs = sorted(one.sent(), key=lambda log: float(log["got"]))
    fresh, cached, hay = logs[:6], logs[6:10], logs[10:]
    assert [log["asked"] for log in fresh] == [{**whole, "ignore_eos": True, "min_tokens": 6}] * 6
    assert len({log["begins"] for log in fresh}) == 6
    # The first of them brings the prompt into the cache.
    assert len({log["begins"] for log in cached}) == 1 and [log["asked"]["max_tokens"] for log in cached] == [1, 6, 6, 6]
    assert [log["asked"] for log in hay] == [{**whole, "max_tokens": 4}]


def test_a_point_that_cannot_be_made_is_named_and_the_next_is_measured(bench: Callable[..., Bench]) -> None:
    one = bench("stub", [{**SWEEP, "input": 9}, SWEEP])
    assert one.wait() == 1
    state = one.state()
    assert (state["phase"], state["partial"], state["runs"], [item["path"] for item in state["failed"]]) == (
        "failed",
        True,
        1,
        ["points[0]"],
    )
    assert "input: found 9 tokens; wanted " in state["failed"][0]["why"]


def test_reasoning_is_text_and_the_cache_is_said(bench: Callable[..., Bench]) -> None:
    point = {**SWEEP, "cached": True}
    for model in ("stub-reasoning-cached", "stub-reasoning-cached-plain"):
        one = bench(model, [point])
        assert one.wait() == 0
        assert [(len(row["arrivals"]), row["cached"]) for row in one.rows()] == [(6, 16)] * 3
        assert one.runs()[0]["cached"] is True


def test_needles_are_found_or_not(bench: Callable[..., Bench]) -> None:
    point = {"kind": "needle", "input": 400, "output": 4, "depths": [0, 0.5, 1]}
    for model, found in (("stub-needle", True), ("stub", False)):
        one = bench(model, [point])
        assert one.wait() == 0
        assert [(run["depth"], run["found"]) for run in one.runs()] == [(depth, [found]) for depth in (0, 0.5, 1)]


def test_a_needle_that_is_only_thought_of_is_not_found(program: Any) -> None:
    exchange = program.exchange.Exchange(b"", 1, 1)
    exchange.answer.status = 200
    event = json.dumps({"choices": [{"delta": {"reasoning": "BANANA"}}]})
    exchange.pieces = [(1.0, f"data: {event}\n\ndata: [DONE]\n\n".encode())]
    _row, answer, reasoning = program.rows.row(0, exchange, 0.0, 5)
    assert (answer, reasoning) == ("", "BANANA")


def test_essays_are_kept_and_a_soak_goes_on_for_its_minutes(bench: Callable[..., Bench]) -> None:
    points = [{"kind": "repetition", "input": 100, "output": 5}, {"kind": "soak", "input": 100, "output": 5, "minutes": 0.02}]
    one = bench("stub", points)
    assert one.wait() == 0
    essay, *soak = one.runs()
    assert essay["texts"] == [{"answer": " w0 w1 w2 w3 w4", "reasoning": ""}]
    assert len(soak) > 2 and [run["repeat"] for run in soak] == list(range(len(soak)))


@pytest.mark.parametrize(
    ("model", "error", "arrivals", "output"),
    [
        ("stub-refuse", "HTTP 400: This model's maximum context length is 10 tokens.", 0, 0),
        ("stub-crash", "the stream says: EngineCore encountered an issue.", 3, 0),
        ("stub-cut", "the connection broke: Connection reset by peer", 3, 0),
        ("stub-mute", "the stream ended without usage: its tokens are unknown", 6, 0),
        ("stub-zero", "the server counted no completion tokens", 0, 0),
        ("stub-silent", "nothing came for 1 s after the request", 0, 0),
    ],
)
def test_a_failed_request_is_a_row_and_the_next_run_is_made(
    bench: Callable[..., Bench], model: str, error: str, arrivals: int, output: int
) -> None:
    one = bench(model, [{**SWEEP, "repeats": 2}], quiet_seconds=1)
    assert one.wait() == 0
    assert [(row["error"], len(row["arrivals"]), row["output"], row["input"]) for row in one.rows()] == [(error, arrivals, output, 120)] * 6
    assert (one.state()["phase"], one.state()["errors"]) == ("done", 6)


def test_a_dead_engine_ends_it_in_seconds_with_the_reason(bench: Callable[..., Bench]) -> None:
    one = bench("stub-dies", [SWEEP, {**SWEEP, "repeats": 50}])
    started = time.monotonic()
    assert one.wait() == 1
    assert time.monotonic() - started < 10
    state = one.state()
    assert (state["phase"], state["partial"], state["runs"], state["errors"]) == ("failed", True, 1, 3)
    (failed,) = state["failed"]
    assert failed["path"] == f"http://127.0.0.1:{one.port}"
    assert "found no connection: Connection refused, after 3 of 3 requests failed (the connection " in failed["why"]
    assert [len(row["arrivals"]) for row in one.rows()] == [3, 3, 3] or sum(len(row["arrivals"]) for row in one.rows()) > 0


def test_an_engine_that_is_not_there_is_said_at_once(bench: Callable[..., Bench]) -> None:
    one = bench("stub", [SWEEP], url=f"http://127.0.0.1:{free_port()}")
    assert one.wait() == 1
    assert "/health: found no connection: Connection refused; wanted 200" in one.state()["failed"][0]["why"]
    assert one.runs() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_what_was_measured(bench: Callable[..., Bench], number: signal.Signals) -> None:
    one = bench("stub", [{**SWEEP, "output": 3}, {**SWEEP, "output": 1000}], gap=0.02)
    eventually(lambda: (one.folder / "runs/0000.json").exists())
    time.sleep(1)
    one.process.send_signal(number)
    asked = time.monotonic()
    assert one.wait() == 1
    assert time.monotonic() - asked < 3
    state = one.state()
    assert (state["phase"], state["partial"], state["runs"]) == ("failed", True, 2)
    assert state["failed"][0]["why"] == f"ended by {number.name}: what was measured is kept"
    whole, partial = one.runs()
    assert (whole["partial"], partial["partial"]) == (False, True)
    for row in partial["rows"]:
        assert row["error"] == f"ended by {number.name}"
        assert len(row["arrivals"]) > 5 and row["first"] == row["arrivals"][0] <= row["end"]


def test_what_nobody_looks_at_ends_by_itself(bench: Callable[..., Bench]) -> None:
    one = bench("stub-silent", [SWEEP], lease_seconds=1, quiet_seconds=30)
    assert one.wait() == 1
    assert one.state()["failed"][0]["why"] == "nobody looked for 1 s: what was measured is kept"


def test_the_field_reports_waits_end_nothing(program: Any) -> None:
    """51 s to a cold first token, 99 s in the queue at N=8, 163 s for 199,476 tokens: with a bound for a whole context, none is late."""
    exchange = program.exchange.Exchange(b"", 600, 3600)
    exchange.start = exchange._heard = 1000.0
    assert [exchange.late(1000.0 + seconds) for seconds in (51.08, 98.86, 163.0)] == [""] * 3
    assert exchange.late(1600.1) == "nothing came for 600 s after the request"
    exchange.pieces.append((1590.0, b"x"))
    exchange._heard = 4500.0
    assert exchange.late(4599.0) == ""
    assert exchange.late(4601.0) == "no end after 3600 s"


def test_the_key_is_sent_and_nowhere_else(bench: Callable[..., Bench], tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}.key"
    secret.write_text(KEY + "\n")
    secret.chmod(0o600)
    one = bench("stub-echo", [SWEEP], key_file=str(secret))
    assert KEY not in Path(f"/proc/{one.process.pid}/cmdline").read_text()
    assert KEY not in Path(f"/proc/{one.process.pid}/environ").read_text()
    assert one.wait() == 0
    # The stub quotes what it was sent.
    assert [row["error"] for row in one.rows()] == ["HTTP 401: found Bearer (the key)"] * 3
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY not in path.read_text(), path


def test_a_key_that_others_can_read_is_refused(bench: Callable[..., Bench], tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(KEY)
    secret.chmod(0o640)
    one = bench("stub", [SWEEP], key_file=str(secret))
    assert one.wait() == 1
    why = one.state()["failed"][0]["why"]
    assert why == f"{secret}: found mode 0640; wanted a file of mode 0600. chmod 0600 {secret}"
    secret.chmod(0o600)
    link = tmp_path / "link"
    os.symlink(secret, link)
    one = bench("stub", [SWEEP], key_file=str(link))
    assert one.wait() == 1
    assert "Too many levels of symbolic links" in one.state()["failed"][0]["why"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": "https://x:1"}, "url: found 'https://x:1'; wanted http://HOST:PORT"),
        ({"api": "tea"}, "api: found 'tea'; wanted chat or completions"),
        ({"points": []}, "points: found none; wanted one or more"),
        ({"points": [{**SWEEP, "kind": "x"}]}, "points[0].kind: found 'x'; wanted one of"),
        ({"points": [SWEEP, {"kind": "sweep", "input": 5}]}, "points[1].output: found None; wanted 1 or more"),
        ({"points": [{**SWEEP, "concurrency": 0}]}, "points[0].concurrency: found 0; wanted 1 or more"),
        ({"points": [{**SWEEP, "kind": "needle", "depths": [2]}]}, "points[0].depths: found [2]; wanted shares"),
        ({"points": [{**SWEEP, "kind": "soak"}]}, "points[0].minutes: found None; wanted more than 0"),
    ],
)
def test_a_job_that_cannot_be_is_refused_by_its_key(bench: Callable[..., Bench], change: dict[str, Any], why: str) -> None:
    one = bench("stub", **{"points": [SWEEP], **change})
    assert one.wait() == 1
    assert why in one.state()["failed"][0]["why"]
    assert not (one.folder / "runs").exists()
