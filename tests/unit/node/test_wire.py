"""What a stranger says on the link's port is refused before anything is computed of it, however deep it nests."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from typing import Any

import pytest
from conftest import ROOT
from test_supervisor import free_port

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import link_head
import wire

KEY = wire.key_of(b"a secret of the launch")
HELLO = {"rank": 1, "name": "n1", "launch": "other", "session": "s", "nonce": "n"}
# json reads some levels more than it writes: where, differs by the interpreter's version, and by what has called it.
DEPTHS = [*range(1, 12), *range(900, 1010), *range(1440, 1510), 5000]


def nested(key: str, depth: int, words: dict[str, Any]) -> bytes:
    rest = json.dumps({name: word for name, word in words.items() if name != key})[1:]
    return f'{{"{key}": {"[" * depth}{"]" * depth}, {rest}'.encode()


@pytest.mark.parametrize("key", HELLO)
def test_a_hello_has_a_number_and_texts(key: str) -> None:
    for depth in DEPTHS:
        with pytest.raises(wire.Refused):
            wire.Host(KEY, "l", ["n0", "n1"]).greet(nested(key, depth, HELLO))
    others: list[Any] = [None, True, 1.5, {}, {"a": {}}]
    for wrong in others:
        with pytest.raises(wire.Refused):
            wire.Host(KEY, "l", ["n0", "n1"]).greet(json.dumps({**HELLO, key: wrong}).encode())


@pytest.mark.parametrize("key", ["nonce", "launch", "mac"])
def test_an_answer_has_texts(key: str) -> None:
    for depth in DEPTHS:
        with pytest.raises(wire.Refused):
            wire.Caller(KEY, "l", 1, "n1", "s").answer(nested(key, depth, {"nonce": "n", "launch": "l", "mac": "00"}))


def test_a_message_is_flat() -> None:
    talk, other = wire.Talk(KEY, [], "head", "worker"), wire.Talk(KEY, [], "worker", "head")
    order = {"do": "run", "generation": 1, "missing": ["n1 (does not answer)", "[[[[[[[[[[[["], "reason": "{" * 1000}
    assert talk.hear(other.say(order)) == order
    for depth in DEPTHS:
        with pytest.raises(wire.Refused):
            talk.hear(nested("message", depth, {"mac": "00"}))
        with pytest.raises(wire.Refused):
            talk.hear(b'{"message": ' + nested("do", depth, {"generation": 1}) + b', "mac": "00"}')


def greeted(launch: str = "l", theirs: bytes = KEY) -> tuple[wire.Host, wire.Caller, bytes]:
    """A head, a caller with a secret, and the head's answer to his hello."""
    host, caller = wire.Host(KEY, "l", ["n0", "n1"]), wire.Caller(theirs, launch, 1, "n1", "s")
    return host, caller, host.greet(wire.pack(caller.hello))


def talks() -> tuple[wire.Talk, wire.Talk]:
    """The worker's and the head's side of a proven connection."""
    host, caller, answer = greeted()
    talk, proof, launch = caller.answer(answer)
    assert launch == "l"
    return talk, host.proves(proof)


def test_who_knows_the_secret_is_heard() -> None:
    worker, head = talks()
    for number in range(3):
        assert head.hear(worker.say({"n": number})) == {"n": number}
        assert worker.hear(head.say({"m": number})) == {"m": number}


@pytest.mark.parametrize("proof", [b"{}", b'{"mac": "00"}', b'{"mac": null}', b"[]"])
def test_a_caller_without_a_proof_is_refused(proof: bytes) -> None:
    host, _caller, _answer = greeted()
    with pytest.raises(wire.Refused):
        host.proves(proof)


def test_each_side_refuses_another_secret() -> None:
    other = wire.key_of(b"another secret")
    _host, caller, answer = greeted(theirs=other)
    with pytest.raises(wire.Refused, match="does not know this launch's secret"):
        caller.answer(answer)
    # One who takes any answer for good proves nothing.
    host, caller, answer = greeted(theirs=other)
    transcript = [caller.hello, json.loads(answer)["nonce"], "l"]
    with pytest.raises(wire.Refused, match="the caller does not know"):
        host.proves(wire.pack({"mac": wire._mac(other, "worker", transcript)}))
    # The head's own word is none of the caller's.
    host, _caller, answer = greeted()
    with pytest.raises(wire.Refused):
        host.proves(wire.pack({"mac": json.loads(answer)["mac"]}))


def test_a_proof_is_of_one_greeting() -> None:
    _host, caller, answer = greeted()
    _talk, proof, _launch = caller.answer(answer)
    host, _caller, _answer = greeted()
    with pytest.raises(wire.Refused):
        host.proves(proof)


def test_a_caller_of_another_launch_is_refused_when_he_is_proven() -> None:
    host, caller, answer = greeted(launch="yesterday")
    _talk, proof, launch = caller.answer(answer)
    assert launch == "l"
    with pytest.raises(wire.Refused, match="another launch"):
        host.proves(proof)


def test_a_message_is_signed_in_its_place() -> None:
    worker, head = talks()
    line = worker.say({"doing": "engine"})
    altered = json.loads(line)
    for wrong in (
        wire.pack({**altered, "message": {"doing": "none"}}),
        wire.pack({"message": altered["message"]}),
        wire.pack({**altered, "mac": "0" * 64}),
    ):
        with pytest.raises(wire.Refused):
            talks()[1].hear(wrong)
        with pytest.raises(wire.Refused):
            wire.Talk(KEY, [], "head", "worker").hear(wrong)
    # Of another connection, of the other direction, and said twice.
    with pytest.raises(wire.Refused):
        talks()[1].hear(line)
    with pytest.raises(wire.Refused):
        worker.hear(line)
    assert head.hear(line) == {"doing": "engine"}
    with pytest.raises(wire.Refused):
        head.hear(line)
    # One that is left out is missed.
    worker, head = talks()
    worker.say({"n": 1})
    with pytest.raises(wire.Refused):
        head.hear(worker.say({"n": 2}))


def test_a_real_head_outlives_each_of_them() -> None:
    port = free_port()
    settings = {"names": ["n0", "n1"], "launch": "l", "restarts_per_hour": 0, "gather_seconds": 60, "address": f"127.0.0.1:{port}"}
    head = link_head.Head(settings, KEY, None)
    head.start()
    try:
        for depth in DEPTHS:
            with socket.create_connection(("127.0.0.1", port), 5) as sock, contextlib.suppress(ConnectionError):
                sock.settimeout(5)
                sock.sendall(nested("rank", depth, HELLO) + b"\n")
                assert sock.recv(4096) == b"", depth
            assert head.is_alive(), depth
    finally:
        head.close()
