"""Which ports of the nodes answer a neighbour, which of them the plan means, and who holds the others.

Pure but for the last part, which needs the virtual cluster; tests/unit/test_open_ports.py has the rest. `make test` scans two of the four
nodes; with GX10_WRITE=1 all are scanned, and docs/security-ports.md is written when every state was seen.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

SSH = 22
ANY = ("0.0.0.0", "::")
# What of an engine's container listens on ports that no flag of the plan fixes: the ranks' own traffic. Neither the API nor Ray itself.
RANKS = re.compile(r"^ray::RayWorker|^VLLM::(?:EngineCore|Worker)|^sglang::")
WORKERS = "Ray's workers"
Place = tuple[str, int]


class Holder(NamedTuple):
    """Who listens: the addresses of a socket's port as `ss` has them, the process, and whether it is an engine's container's."""

    address: str
    port: int
    pid: int
    command: str
    engine: bool


class Row(NamedTuple):
    """A line of the table."""

    node: str
    network: str
    port: str
    holder: str
    why: str


def options(argv: Sequence[str]) -> dict[str, str]:
    """The long options of a command line that have a value."""
    found = {}
    for word, after in zip(argv, [*argv[1:], ""]):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            found[name.removeprefix("--")] = value if equals else after
    return found


def ssh(nodes: Mapping[str, Mapping[str, str]]) -> dict[Place, str]:
    """`nodes`: of each, its addresses by network."""
    return {(address, SSH): "SSH" for addresses in nodes.values() for address in addresses.values()}


def serving(plan: Mapping[str, Any], nodes: Mapping[str, Mapping[str, str]]) -> tuple[dict[Place, str], dict[Place, str]]:
    """What a plan means to listen: (what must answer, what may), beside SSH."""
    must: dict[Place, str] = {}
    may: dict[Place, str] = {}

    def listens(into: dict[Place, str], node: str, host: str, port: int, why: str) -> None:
        for address in nodes[node].values() if host in ANY else [host]:
            into[address, port] = why

    if plan["group"]["address"]:
        host, _colon, port = plan["group"]["address"].rpartition(":")
        listens(must, plan["nodes"][0]["name"], host, int(port), "the group's link")
    for node in plan["nodes"]:
        name, ray, engine = node["name"], options((node["ray"] or {"argv": []})["argv"]), options((node["engine"] or {"argv": []})["argv"])
        # Ray binds all addresses, whatever it is told.
        if "port" in ray:
            listens(must, name, ANY[0], int(ray.pop("port")), "Ray's GCS")
        first, last = (int(ray.pop(f"{end}-worker-port", "0")) for end in ("min", "max"))
        for port in range(first, last + 1) if first else []:
            listens(may, name, ANY[0], port, f"{WORKERS}, {first} to {last}")
        for option, value in ray.items():
            if option.endswith("-port") and value.isdigit() and int(value):
                listens(may, name, ANY[0], int(value), f"Ray's {option.removesuffix('-port').replace('-', ' ')}")
        if ray and (metrics := node["runtime_env"].get("DASHBOARD_METRIC_PORT")):
            listens(may, name, ANY[0], int(metrics), "Ray's metrics of the dashboard")
        if node["rank"] == 0 and engine.get("port"):
            listens(must, name, engine["host"], int(engine["port"]), "the API")
        if node["rank"] == 0 and engine.get("master-port"):
            listens(may, name, ANY[0], int(engine["master-port"]), "where the ranks meet")
        if node["rank"] == 0 and engine.get("dist-init-addr"):
            listens(may, name, ANY[0], int(engine["dist-init-addr"].rpartition(":")[2]), "where the ranks meet")
        for published in node["container"]["options"].get("publish", []):
            host, port, _inner = published.rsplit(":", 2)
            listens(must, name, host.strip("[]"), int(port), "the API")
    return must, may


def distribution(weights: Mapping[str, Any]) -> dict[Place, str]:
    """Where nginx may listen while files travel: `weights` of a plan."""
    return {(address, weights["port"]): "the distribution" for node in weights["nodes"] for address in node["addresses"]}


def judge(
    answers: Mapping[str, Any],
    must: Mapping[Place, str],
    may: Mapping[Place, str],
    nodes: Mapping[str, Mapping[str, str]],
    held: Mapping[str, Sequence[Holder]],
) -> tuple[list[str], list[Row]]:
    """(problems, table) of a scan: its "open" and "silent" by address."""
    problems, rows = [], []
    planned = {port for _address, port in must}
    for name, addresses in nodes.items():
        for network, address in addresses.items():
            if answers["silent"][address]:
                many, first = len(answers["silent"][address]), answers["silent"][address][0]
                problems.append(f"{name}: {address}: found {many} ports without any answer, {first} the first; wanted each open or closed")
            for port in answers["open"][address]:
                why = must.get((address, port)) or may.get((address, port))
                holder = next((one for one in held[name] if one.port == port and one.address in (address, *ANY, "*")), None)
                by = f"pid {holder.pid} ({holder.command})" if holder else "nobody that is there now"
                if why:
                    rows.append(Row(name, network, "" if why.startswith(WORKERS) else str(port), _short(holder), why))
                elif holder and holder.engine and RANKS.search(holder.command) and port not in planned:
                    rows.append(Row(name, network, "", _short(holder), "of the engine's container; no flag of the plan fixes it"))
                else:
                    problems.append(f"{name}: {address}: port {port}: found open, held by {by}; wanted closed")
            for where, port in must:
                if where == address and port not in answers["open"][address]:
                    problems.append(f"{name}: {address}: port {port}: found closed; wanted {must[where, port]}")
    return problems, _together(rows)


def _short(holder: Holder | None) -> str:
    """The program alone: what follows differs from run to run."""
    words = holder.command.split() if holder else ["?"]
    program = words[0].rsplit("/", 1)[-1].rstrip(":")
    script = next((word.rsplit("/", 1)[-1] for word in words[1:] if word.endswith(".py")), "")
    return f"{program} {script}".strip()


def _together(rows: Sequence[Row]) -> list[Row]:
    """Ports that nothing fixes, or only their range, are counted: their numbers are others each time."""
    found = [row for row in rows if row.port]
    free = [row for row in rows if not row.port]
    return [*found, *(row._replace(port=f"{free.count(row)} above 1023") for row in dict.fromkeys(free))]


def table(rows: Sequence[Row]) -> str:
    lines = ["| node | network | port | held by | why |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def document(states: Mapping[str, Sequence[Sequence[str]]], about: str) -> str:
    """docs/security-ports.md."""
    text = f"# Ports that answer\n\n{about}\n"
    for state, rows in states.items():
        text += f"\n## {state}\n\n{table([Row(*row) for row in rows])}"
    return text


def from_sockets(nodes: Mapping[str, Mapping[str, str]], held: Mapping[str, Sequence[Holder]]) -> dict[str, Any]:
    """A scan's answer, as a node's own list of sockets has it: what listens on an address of `nodes`, or on all."""
    found = {
        address: sorted({one.port for one in held[name] if one.address in (address, *ANY, "*")})
        for name, addresses in nodes.items()
        for address in addresses.values()
    }
    return {"open": found, "silent": {address: [] for address in found}}


# -- the virtual cluster ------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/security-ports.md"
STATES = ("Nothing runs", "Files are distributed", "A model serves")
WRITE = bool(os.environ.get("GX10_WRITE"))
NODES = {f"gx10-sim-{number}": {"management": f"172.31.240.{10 + number}", "fabric": f"172.31.241.{10 + number}"} for number in range(1, 5)}
# The head, and the node that is cabled otherwise.
SCANNED = {name: addresses for name, addresses in NODES.items() if WRITE or name in ("gx10-sim-1", "gx10-sim-3")}
HOLDERS = r"""
import json, re, subprocess
listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
ours = ["docker", "ps", "--quiet", "--no-trunc", "--filter", "label=gx10.serving.profile"]
engines = subprocess.run(ours, capture_output=True, text=True, check=True).stdout.split()
found = []
for line in listening.splitlines():
    address, _, port = line.split()[3].rpartition(":")
    for pid in sorted(set(re.findall(r"pid=(\d+)", line))) or ["0"]:
        try:
            command = open(f"/proc/{pid}/cmdline").read().replace("\0", " ").strip()[:120]
            group = open(f"/proc/{pid}/cgroup").read()
        except OSError:
            command, group = "", ""
        engine = any(one in group for one in engines)
        found.append([address.strip("[]").partition("%")[0].replace("::ffff:", ""), int(port), int(pid), command, engine])
print(json.dumps(found))
"""


def holders(node: str) -> list[Holder]:
    """Who listens on a node, as its own `ss` says."""
    out = subprocess.run(["docker", "exec", node, "python3", "-c", HOLDERS], capture_output=True, text=True, check=True).stdout
    return [Holder(*row) for row in json.loads(out)]


class Neighbour:
    """A container on the management network and the fabric that is no node."""

    NAME = "gx10-sim-neighbour"
    ADDRESSES = ("172.31.240.200", "172.31.241.200")
    # As many as this machine's processors may be: each takes a part of the ports.
    SCANS = 2

    def __enter__(self) -> Neighbour:
        subprocess.run(["docker", "rm", "--force", self.NAME], capture_output=True, check=False)
        argv = ["docker", "run", "--detach", "--name", self.NAME, "--network", "gx10-sim-mgmt", "--ip", self.ADDRESSES[0]]
        for words in (
            [*argv, "--entrypoint", "sleep", "gx10-sim-node:latest", "infinity"],
            ["docker", "network", "connect", "--ip", self.ADDRESSES[1], "gx10-sim-fabric", self.NAME],
        ):
            subprocess.run(words, capture_output=True, check=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        subprocess.run(["docker", "rm", "--force", self.NAME], capture_output=True, check=False)

    def scan(self, addresses: Sequence[str], first: int = 1, last: int = 65535) -> dict[str, Any]:
        """Every port of every address, as scan.py has it."""
        program = (ROOT / "molecule/shared/scan.py").read_text()

        def part(bounds: tuple[int, int]) -> dict[str, Any]:
            job = json.dumps({"addresses": list(addresses), "first": bounds[0], "last": bounds[1]})
            argv = ["docker", "exec", "-i", self.NAME, "python3", "-c", program]
            done = subprocess.run(argv, input=job, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-1000:]
            found: dict[str, Any] = json.loads(done.stdout)
            return found

        with ThreadPoolExecutor(self.SCANS) as pool:
            return merged(list(pool.map(part, parts(first, last, self.SCANS))))


def parts(first: int, last: int, count: int) -> Iterator[tuple[int, int]]:
    """A range in `count` parts of about one size."""
    edges = [first + (last + 1 - first) * number // count for number in range(count + 1)]
    return ((low, high - 1) for low, high in itertools.pairwise(edges))


def merged(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The parts of a scan as one."""

    def together(kind: str) -> dict[str, list[int]]:
        return {address: sorted(port for one in found for port in one[kind][address]) for address in found[0][kind]}

    about = {"seconds": max(one["seconds"] for one in found), "rate": sum(one["rate"] for one in found)}
    return {"open": together("open"), "silent": together("silent"), **about}


def look(state: str, plan: Mapping[str, Any] | None, more: Mapping[Place, str]) -> list[str]:
    """What is wrong with the ports in one of STATES: `plan` serves, and `more` may listen. Nodes that are not scanned are asked."""
    with Neighbour() as neighbour:
        answers = neighbour.scan([address for addresses in SCANNED.values() for address in addresses.values()])
    held = {name: holders(name) for name in NODES}
    must, may = serving(plan, NODES) if plan else ({}, {})
    found, rows = judge(answers, {**ssh(SCANNED), **must}, {**may, **more}, SCANNED, held)
    own = {name: addresses for name, addresses in NODES.items() if name not in SCANNED}
    found += judge(from_sockets(own, held), {**ssh(own), **must}, {**may, **more}, own, held)[0]
    print(f"{state}: {len(rows)} rows; {answers['seconds']} s, {answers['rate']} connections a second")
    if WRITE and not found:
        keep(state, rows)
    return found


def keep(state: str, rows: Sequence[Row]) -> None:
    """Note the rows of a state; with those of all, write the document."""
    path = ROOT / ".sim/open_ports.json"
    noted = {**(json.loads(path.read_text()) if path.exists() else {}), state: rows}
    path.write_text(json.dumps(noted))
    if set(noted) == set(STATES):
        about = (
            f"Every TCP port of four nodes of the virtual cluster, on both networks, from a container on these networks that is no node.\n"
            f"Written by `GX10_WRITE=1 make test` on {time.strftime('%Y-%m-%d')}. What a port is meant for comes from the plan; any\n"
            "other that answers fails the test, with node, address, port and process. A firewall around the nodes is their owner's\n"
            "([SECURITY.md](../SECURITY.md), S2)."
        )
        DOCUMENT.write_text(document({name: noted[name] for name in STATES}, about))
