"""Role notify's webhook: one try has an end, goes to nobody else, and sends a secret that is one, over a certificate that holds."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from notifiers import DRIP, HANG, SECRET, Receiver, Site, importing, receiving
from test_supervisor import eventually


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


def test_a_receiver_that_hangs_or_drips_holds_up_nobody_else(
    site: Site, receiver: Callable[..., Receiver], program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webhook's own try has an end; the command is told at once, whatever the webhook does."""
    there = receiver(HANG)
    site.note(1)
    site.note(2)
    out = site.folder / "out"
    site.start(url=f"http://127.0.0.1:{there.port}/x", command=["/bin/sh", "-c", f"cat >>{out}"])
    # Before the webhook's first try is over.
    assert eventually(lambda: out.exists() and out.read_text().count('"sequence"') == 2, program["webhook"].SECONDS - 1)
    monkeypatch.setattr(program["webhook"], "SECONDS", 0.5)
    monkeypatch.setattr(program["webhook"], "IN_ALL", 1.0)
    for answer in (HANG, DRIP):
        slow = receiver(answer)
        start = time.monotonic()
        with pytest.raises(program["sender"].Later, match="found none in time; wanted an answer"):
            program["webhook"].Webhook(f"http://127.0.0.1:{slow.port}/x", {}, None).tell(b'{"sequence": 1}')
        assert time.monotonic() - start < 20


def test_a_redirect_is_not_followed_and_carries_no_secret(site: Site, receiver: Callable[..., Receiver], program: Any) -> None:
    thief = receiver(200)
    there = receiver(307)
    there.headers["Location"] = f"http://127.0.0.1:{thief.port}/caught"
    (site.folder / "secret").write_text(SECRET)
    (site.folder / "secret").chmod(0o600)
    hook = program["webhook"].Webhook(f"http://127.0.0.1:{there.port}/{{secret}}", {"X-Key": "{secret}"}, str(site.folder / "secret"))
    with pytest.raises(program["sender"].Later) as caught:
        hook.tell(b'{"sequence": 1}')
    assert "found status 307; wanted 2xx. It leads elsewhere" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert there.requests[0]["path"] == f"/{SECRET}"
    assert thief.requests == []


def test_a_certificate_that_nobody_vouches_for_is_none(site: Site, receiver: Callable[..., Receiver], program: Any) -> None:
    names = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*names, *subject, "-keyout", str(site.folder / "key"), "-out", str(site.folder / "cert")], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.folder / "cert", site.folder / "key")
    there = receiver(200, context=context)
    with pytest.raises(program["sender"].Later, match="a certificate that does not hold"):
        program["webhook"].Webhook(f"https://localhost:{there.port}/x", {}, None).tell(b'{"sequence": 1}')
    assert there.requests == []
    # The same one, vouched for by the node's own store.
    site.note(1)
    site.start(url=f"https://localhost:{there.port}/x", env={"SSL_CERT_FILE": str(site.folder / "cert")})
    site.ends()
    assert there.told() == [1]


@pytest.mark.parametrize(
    ("content", "mode", "why"), [(SECRET, 0o644, "mode 0644"), ("two\nlines", 0o600, "something else"), ("", 0o600, "something else")]
)
def test_a_secret_that_is_none_sends_nothing(
    site: Site, receiver: Callable[..., Receiver], program: Any, content: str, mode: int, why: str
) -> None:
    there = receiver(200)
    (site.folder / "secret").write_text(content)
    (site.folder / "secret").chmod(mode)
    hook = program["webhook"].Webhook(f"http://127.0.0.1:{there.port}/{{secret}}", {}, str(site.folder / "secret"))
    with pytest.raises(program["sender"].Later, match=f"gx10_notify_secret_file.*found {why}"):
        hook.tell(b"{}")
    assert there.requests == []
