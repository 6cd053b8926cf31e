"""What docs/proxy.md and docs/firewall.md tell an owner to do, done: nginx and nftables are the nodes' own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _firewall
from sim import API, HEAD, ROOT, eventually

PROXY = "172.31.240.11:8445"


def block(page: str, kind: str) -> str:
    """The page's example."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def proxy(nodes: dict[str, Any]) -> Iterator[Any]:
    """The page's server, without TLS, on an address of the head's and before the API as it listens here."""
    server = re.sub(r"^ +(listen|ssl_certificate|ssl_certificate_key) .*$", "", block("proxy.md", "nginx"), flags=re.MULTILINE)
    server = server.replace("http://127.0.0.1:8000", API).replace("/etc/nginx/gx10.users", "/tmp/proxy.users")
    server = server.replace("server {", f"server {{\n    listen {PROXY};")
    head = nodes[HEAD]
    text = f"pid /tmp/proxy.pid;\nerror_log /tmp/proxy.log;\nevents {{}}\nhttp {{\n    access_log off;\n{server}}}\n"
    head.run(f"printf 'me:{{PLAIN}}word\\n' > /tmp/proxy.users && cat > /tmp/proxy.conf <<'END'\n{text}\nEND")
    head.run("nginx -c /tmp/proxy.conf")
    yield head
    head.run("kill $(cat /tmp/proxy.pid); rm -f /tmp/proxy.*")


def status(proxy: Any, path: str, more: str = "-u me:word") -> str:
    return str(proxy.run(f"curl -s -o /dev/null -w '%{{http_code}}' --path-as-is {more} 'http://{PROXY}{path}'")).strip()


def test_a_proxy_lets_four_paths_of_a_user_through(proxy: Any) -> None:
    assert eventually(lambda: status(proxy, "/v1/models") == "200", 10)
    assert status(proxy, "/v1/models", "") == "401"
    body = "-u me:word -H 'Content-Type: application/json' -d '" + json.dumps({"model": "tiny-qwen3", "prompt": "a", "max_tokens": 1}) + "'"
    assert status(proxy, "/v1/completions", body) == "200"
    shut = (
        "/metrics",
        "/tokenize",
        "/invocations",
        "/pause",
        "/health",
        "/v1/../metrics",
        "/v1/models/../../metrics",
        "/v1/responses",
        "//metrics",
    )
    assert {path: status(proxy, path) for path in shut} == dict.fromkeys(shut, "403")
    # The engine would take the first for /metrics; a line break is none of the path.
    assert status(proxy, "/metrics/../v1/models") == "200"
    said = proxy.run(f"curl -s --path-as-is -u me:word 'http://{PROXY}/metrics/../v1/models'")
    assert json.loads(said)["data"], said[:200]
    assert status(proxy, "/v1/models%0a") == "403"


def test_the_pages_firewall_is_seen_as_one(nodes: dict[str, Any]) -> None:
    """On the last node, for a moment; SSH is let in, and the ranks' addresses are."""
    node = list(nodes.values())[-1]

    def seen() -> Any:
        return _firewall.judge(json.loads(node.run("nft -j list ruleset"))["nftables"])

    before = seen()
    rules = re.sub(r"192\.168\.177\.1(\d)", r"172.31.241.1\1", block("firewall.md", "nft"))
    assert "172.31.241.14" in rules
    node.run(f"nft -f - <<'END'\n{rules}END")
    try:
        assert seen() == {"ipv4": True, "ipv6": True}
    finally:
        node.run("nft delete table inet gx10")
    assert seen() == before
