"""The supervisors of one launch as processes of their own, each on its own loopback address, and what is done to them.

The ranks' programs are stubs of an engine: `sleep` on workers, stub_engine.py on the head. Detection times are printed; what is asserted
are bounds that a busy machine keeps.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launches import GENEROUS, Launch, Node, launching
from test_supervisor import HOME, WATCH, eventually, free_port, processes


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    yield from launching(tmp_path)


def test_a_killed_rank_is_named_by_all_and_the_group_starts_again(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    pids = [node.status()["evidence"]["engine_pid"] for node in one.nodes]
    one.nodes[2].kill_rank()
    print(f"a killed rank was known to all after {one.ended(one.nodes, 1):.1f} s")
    one.serves(2)
    for node in one.nodes:
        assert "n2: the engine was ended by SIGKILL" in node.status()["evidence"]["ended"]
        assert node.status()["restarts"] == "1 of 3 within an hour"
    # Facts of its own stand on the culprit alone; the others were only ended.
    assert [bool(node.status()["evidence"]["own"]) for node in one.nodes] == [False, False, True]
    assert not set(pids) & {node.status()["evidence"]["engine_pid"] for node in one.nodes}


def test_without_restarts_all_end_with_the_first_culprit(launch: Callable[..., Launch]) -> None:
    one = launch(restarts=0)
    one.serves()
    one.nodes[1].kill_rank()
    one.down("n1: the engine was ended by SIGKILL")
    assert [node.process.wait(20) for node in one.nodes] == [1, 1, 1]


def test_the_cap_then_down_on_all_with_the_reason(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2, restarts=2)
    for generation in (1, 2, 3):
        one.serves(generation)
        one.nodes[generation % 2].kill_rank()
    one.down("no restart is left of 2 within an hour")
    time.sleep(2)
    # They stay, so that Docker has nothing to start; asked to stop they do, and keep the reason.
    assert all(node.process.poll() is None for node in one.nodes)
    for node in one.nodes:
        node.end()
        assert "no restart is left of 2" in node.status()["reason"]


def test_a_wedge_on_the_head_ends_the_workers(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    (one.folder / "engine.json").write_text('{"hang": true}')
    assert eventually(lambda: "wedged" in one.nodes[1].status()["reason"] + one.nodes[1].status()["evidence"].get("ended", ""), GENEROUS)
    (one.folder / "engine.json").write_text("{}")
    one.serves(2)
    assert "n0: the engine is wedged: frozen" in one.nodes[1].status()["evidence"]["ended"]


def test_a_killed_supervisor_is_waited_for_and_rejoins(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    victim = one.nodes[2]
    pid = victim.status()["evidence"]["engine_pid"]
    victim.process.kill()
    victim.process.wait()
    os.kill(pid, signal.SIGKILL)  # as the container's end does
    rest = [one.nodes[0], one.nodes[1]]
    print(f"a killed supervisor was known to the others after {one.ended(rest, 1):.1f} s")
    assert eventually(lambda: all("for n2" in node.status()["reason"] for node in rest), GENEROUS), one.statuses()
    assert one.head.phase() == "waiting"
    time.sleep(3)
    assert one.head.phase() == "waiting", "the group has started without a rank"
    victim.start()
    one.serves(2)
    assert "n2: no heartbeat for 4 s" in one.head.status()["evidence"]["ended"]


def test_the_heads_supervisor_killed_and_started_again(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    engine = one.head.status()["evidence"]["engine_pid"]
    one.head.process.kill()
    one.head.process.wait()
    os.kill(engine, signal.SIGKILL)
    print(f"a dead head was known to the workers after {one.ended(one.nodes[1:], 1):.1f} s")
    words = "n0: no heartbeat for 4 s, and a new connection to"
    assert eventually(lambda: words in one.nodes[1].status()["evidence"].get("ended", ""), GENEROUS), one.statuses()
    one.head.start()
    one.serves(2)
    assert one.head.status()["restarts"] == "1 of 3 within an hour"


def test_a_supervisor_that_is_stopped_by_a_signal(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    one.nodes[1].process.send_signal(signal.SIGSTOP)
    print(f"a frozen supervisor was known to the others after {one.ended([one.nodes[0], one.nodes[2]], 1):.1f} s")
    one.nodes[1].process.send_signal(signal.SIGCONT)
    one.serves(2)
    assert "n1: no heartbeat for 4 s" in one.nodes[2].status()["evidence"]["ended"]


def test_a_flag_that_the_engine_refuses_is_not_tried_again(launch: Callable[..., Launch]) -> None:
    class Bad(Launch):
        def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
            found = super().part(rank)
            return found if rank else {**found, "engine": {**found["engine"], "argv": ["/bin/sh", "-c", "exit 2"]}}

    one = launch(kind=Bad, ranks=2)
    one.down("n0: the engine exited with code 2; see this container's log; it has never served, so it is not tried again")
    assert [node.status()["generation"] for node in one.nodes] in ([1, 1], [1, 0])


def test_a_mod_that_fails_on_one_rank_is_named_by_all(launch: Callable[..., Launch], tmp_path: Path) -> None:
    script = tmp_path / "mods-source/m/run.sh"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\nexit 7\n")

    class Modded(Launch):
        def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
            found = super().part(rank)
            return {**found, "mods": ["m"], "mods_dir": str(tmp_path / "mods-source")} if rank == 1 else found

    one = launch(kind=Modded)
    one.down("n1: mod m: run.sh exited with code 7")
    assert [node.status()["generation"] for node in one.nodes] == [0, 0, 0]


# Ignores SIGTERM, and so does what it has started.
DEAF = "#!/bin/sh\ntrap '' TERM\nsleep 86422 & echo $! >pid\nwait\nsleep 86422\n"


def deaf(folder: Path, *ranks: int) -> type[Launch]:
    """Ranks whose mod ends for nobody; the last rank's fails where there is a file."""
    for name, text in (("deaf", DEAF), ("fails", f"#!/bin/sh\nwhile ! test -e {folder}/now; do sleep 0.1; done\nexit 7\n")):
        (folder / name).mkdir()
        (folder / name / "run.sh").write_text(text)

    class Modded(Launch):
        def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
            name = "deaf" if rank in ranks else "fails"
            return {**super().part(rank), "mods": [name], "mods_dir": str(folder)}

    return Modded


def modding(node: Node) -> int:
    """What its mod has started."""
    path = node.folder / "mods/deaf/pid"
    assert eventually(lambda: path.exists() and path.read_text().strip(), GENEROUS), node.status()
    return int(path.read_text())


def test_a_stop_ends_a_mod_that_ignores_it(launch: Callable[..., Launch], tmp_path: Path) -> None:
    one = launch(kind=deaf(tmp_path, 0, 1), ranks=2)
    left = [modding(node) for node in one.nodes]
    for node in one.nodes:
        node.process.terminate()
    assert [node.process.wait(20) for node in one.nodes] == [0, 0]
    assert [node.phase() for node in one.nodes] == ["stopped"] * 2
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]


def test_a_mod_that_fails_ends_those_of_the_other_ranks(launch: Callable[..., Launch], tmp_path: Path) -> None:
    one = launch(kind=deaf(tmp_path, 0), ranks=2)
    left = modding(one.head)
    (tmp_path / "now").touch()
    one.down("n1: mod fails: run.sh exited with code 7")
    assert not Path(f"/proc/{left}").exists()


def test_what_has_failed_its_gate_is_not_started_again(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2)
    one.serves()
    (one.head.folder / "refused").touch()
    time.sleep(1)
    assert [node.phase() for node in one.nodes] == ["serving", "joined"]
    one.nodes[1].kill_rank()
    one.down("n1: the engine was ended by SIGKILL; see this container's log; its gate has failed, so it is not started again")


def test_a_rank_that_never_comes_is_named(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=3, gather_seconds=4)
    one.nodes[2].process.send_signal(signal.SIGKILL)
    one.nodes.pop().process.wait()
    one.ranks = 2
    one.down("did not come within 4 s: n2")


def test_stop_of_the_head_ends_all_and_nothing_comes_back(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    one.head.process.terminate()
    assert one.head.process.wait(20) == 0
    assert one.head.status()["reason"] == "as asked"
    assert eventually(lambda: [node.phase() for node in one.nodes[1:]] == ["waiting"] * 2, GENEROUS), one.statuses()
    assert processes(one.mark) == []
    time.sleep(5)
    assert [node.phase() for node in one.nodes[1:]] == ["waiting"] * 2
    assert processes(one.mark) == []


def power_off(nodes: list[Node]) -> None:
    """All processes of these nodes at once."""
    for node in nodes:
        node.process.kill()
    for node in nodes:
        node.process.wait()
        os.kill(node.status()["evidence"]["engine_pid"], signal.SIGKILL)


def test_all_nodes_at_once(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    power_off(one.nodes)
    for node in reversed(one.nodes):
        node.start()
        time.sleep(1)
    one.serves(2)


def test_who_is_down_stays_down_when_docker_starts_it_again(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2, restarts=1)
    for generation in (1, 2):
        one.serves(generation)
        one.nodes[1].kill_rank()
    one.down("no restart is left of 1 within an hour")
    for node in one.nodes:
        node.process.kill()
        node.process.wait()
        (node.folder / "status.json").unlink()
        node.start()
    one.down("no restart is left of 1 within an hour")
    assert [node.status()["generation"] for node in one.nodes] == [0, 0]
    # serve.yml removes the record.
    for node in one.nodes:
        node.end()
        (node.folder / "group.json").unlink(missing_ok=True)
        node.start()
    one.serves(1)


def test_a_head_that_was_stopped_and_is_started_again_costs_no_restart(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    one.head.process.terminate()
    assert one.head.process.wait(20) == 0
    one.head.start()
    one.serves(2)
    assert one.head.status()["restarts"] == "0 of 3 within an hour"


def test_one_node_alone_heals_until_the_cap_also_over_a_reboot(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=1, restarts=2)
    one.serves()
    one.head.kill_rank()
    one.serves(2)
    assert one.head.status()["restarts"] == "1 of 2 within an hour"
    assert one.head.status()["evidence"]["ended"].startswith("the engine was ended by SIGKILL")
    power_off(one.nodes)
    one.head.start()
    one.serves(3)
    assert one.head.status()["restarts"] == "2 of 2 within an hour"
    one.head.kill_rank()
    one.down("no restart is left of 2 within an hour")
    time.sleep(1)
    assert one.head.process.poll() is None


def test_a_fabric_that_comes_after_docker_is_waited_for(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2)
    one.serves()
    node = one.nodes[1]
    power_off([node])
    node.part["address"] = "192.0.2.1"
    node.start()
    assert eventually(lambda: "no interface holds the fabric address 192.0.2.1" in node.status()["reason"], GENEROUS), node.status()
    assert node.phase() == "waiting"
    node.process.terminate()
    assert node.process.wait(20) == 0
    node.part["address"] = "127.0.0.1"
    node.start()
    one.serves(2)


def test_a_stop_of_one_worker_costs_no_restart(launch: Callable[..., Launch]) -> None:
    """As Docker's engine does when it is upgraded."""
    one = launch()
    one.serves()
    one.nodes[1].process.terminate()
    assert one.nodes[1].process.wait(20) == 0
    assert eventually(lambda: one.head.phase() == "waiting", GENEROUS)
    one.nodes[1].start()
    one.serves(2)
    assert "n1: was stopped" in one.head.status()["evidence"]["ended"]
    assert one.head.status()["restarts"] == "0 of 3 within an hour"


def test_a_worker_stops_while_it_waits(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2)
    one.head.process.kill()
    one.head.process.wait()
    assert eventually(lambda: one.nodes[1].phase() == "waiting", GENEROUS)
    one.nodes[1].process.terminate()
    assert one.nodes[1].process.wait(20) == 0


def test_two_hundred_restarts_leave_nothing(tmp_path: Path) -> None:
    """One node alone: descriptors, threads and memory of its supervisor at the 20th and at the 200th restart."""
    state = tmp_path / "engine.json"
    state.write_text("{}")
    port = free_port()
    part = {
        "node": "n1", "rank": 0, "role": "head", "hash": "sha256:x", "profile": "p", "address": None, "mods": [], "mods_dir": "",
        "status_file": str(tmp_path / "status.json"), "model_dir": "/models/x", "ray": None, "memory_floor_gib": 0, "watch": WATCH,
        "engine": {"argv": ["/bin/sh", "-c", "sleep 0.1; kill -9 $$"], "health": f"http://127.0.0.1:{port}", "served_name": "m"},
        "group": {"names": ["n1"], "launch": "l", "address": None, "secret_file": None, "restarts_per_hour": 1000, "gather_seconds": 5},
    }  # fmt: skip
    (tmp_path / "node.json").write_text(json.dumps(part))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, str(HOME), str(tmp_path / "node.json")], cwd=tmp_path, stderr=log)

    def generation() -> int:
        try:
            return int(json.loads((tmp_path / "status.json").read_text()).get("generation", 0))
        except FileNotFoundError:
            return 0

    def uses() -> dict[str, int]:
        """The least of many looks: what is open for a moment, while a child is started or a file written, is no leak."""
        looks = []
        for _look in range(40):
            text = Path(f"/proc/{process.pid}/status").read_text()
            found = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.startswith(("VmRSS", "Threads"))}
            looks.append({**found, "files": len(os.listdir(f"/proc/{process.pid}/fd"))})
            time.sleep(0.02)
        return {key: min(look[key] for look in looks) for key in looks[0]}

    try:
        assert eventually(lambda: generation() > 20, 120)
        before = uses()
        assert eventually(lambda: generation() > 200, 300)
        after = uses()
        print(f"after 20 restarts {before}, after 200 {after}")
        assert after["files"] <= before["files"]
        assert after["Threads"] <= before["Threads"]
        assert after["VmRSS"] <= before["VmRSS"] + 4096
        assert (tmp_path / "status.json").stat().st_size < 4096
    finally:
        process.terminate()
        assert process.wait(30) == 0
