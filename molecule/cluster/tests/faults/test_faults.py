"""What goes wrong in the field, done to real containers; each test proves its fault before it asserts. In file order."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from sim import HEAD, ROOT, Playbook, ask, eventually

TINY = ROOT / ".sim/checkpoints/tiny-qwen3"
# Down at once, with the reason, and down until somebody serves again.
NEVER: dict[str, Any] = {"gx10_restarts_per_hour": 0}
SHARD = "model-00004-of-00010.safetensors"


def profile(folder: Path, name: str, *edits: tuple[str, str]) -> dict[str, str]:
    """A variant of sim-tiny-tp2 in a user's own folder, as extra variables for serve."""
    text = (ROOT / "model_profiles/sim-tiny-tp2.yml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder / f"{name}.yml").write_text(text)
    return {"profile": name, "model_profiles_path": str(folder)}


def test_a_wrong_torch_is_refused_before_it_travels(tmp_path: Path, nodes: dict[str, Any]) -> None:
    """The CPU regression: the definition wants a CUDA build, the container has +cpu."""
    images = tmp_path / "images"
    shutil.copytree(ROOT / "files/images/vllm-node-sim", images / "vllm-node-sim", ignore=shutil.ignore_patterns("__pycache__"))
    definition = images / "vllm-node-sim/image.yml"
    definition.write_text(definition.read_text().replace("torch: 2.13.0+cpu", "torch: 2.13.0+cu130").replace("cuda: null", 'cuda: "13.0"'))
    before = {name: node.run("docker image inspect -f '{{.Id}}' vllm-node-sim:latest") for name, node in nodes.items()}
    # On a CUDA image a profile says how much memory it takes.
    share = {"args": {"gpu-memory-utilization": 0.05}}
    output = Playbook("serve", profile="sim-tiny-tp4", images_path=[str(images)], override=share).refused().output
    assert "torch.__version__: found '2.13.0+cpu'; wanted '2.13.0+cu130'" in output
    assert "torch.version.cuda: found None; wanted '13.0'" in output
    assert "tools/fetch-wheels" in output
    assert {name: node.run("docker image inspect -f '{{.Id}}' vllm-node-sim:latest") for name, node in nodes.items()} == before
    assert ask().strip(), "what served before must still serve"
    nodes[HEAD].run("docker image rm vllm-node-sim:rejected")


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("truncated", lambda path: path.write_bytes(path.read_bytes()[:-100]), "as its header says"),
        ("missing", lambda path: path.unlink(), "wanted the shard that model.safetensors.index.json names"),
        ("pointer", lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "found a Git LFS pointer"),
        ("dangling", lambda path: (path.unlink(), path.symlink_to("../nowhere")), "found a dangling link to ../nowhere"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path, name: str, damage: Any, message: str) -> None:
    shutil.copytree(TINY, tmp_path / "tiny")
    damage(tmp_path / "tiny" / SHARD)
    output = Playbook("serve", profile="sim-tiny-tp4", gx10_weights_sources={"gx10/tiny-qwen3": str(tmp_path / "tiny")}).refused().output
    assert "are not a whole checkpoint" in output
    assert SHARD in output
    assert message in output
    assert ask().strip(), "what served before must still serve"


def test_a_context_beyond_the_checkpoint_is_refused_before_any_host(tmp_path: Path) -> None:
    output = Playbook("serve", **profile(tmp_path, "long", ("max-model-len: 512", "max-model-len: 4096"))).refused().output
    assert "args.max-model-len: found 4096; wanted at most 1024, max_position_embeddings" in output
    assert "No host was touched" in output


def test_other_content_on_one_node_is_refused_and_stage_repairs_it(nodes: dict[str, Any]) -> None:
    worker = nodes["gx10-sim-3"]
    path = f"/srv/models/gx10/tiny-qwen3/{SHARD}"
    good = worker.run(f"sha256sum {path}")
    worker.run(f"cp -p {path} /tmp/stamp; printf '\\377' | dd of={path} bs=1 seek=5000 conv=notrunc; touch -r /tmp/stamp {path}")
    assert worker.run(f"sha256sum {path}") != good
    output = Playbook("serve", profile="sim-tiny-tp4").refused().output
    assert f"gx10-sim-3: {path}: found other content of the same size" in output
    assert ask().strip(), "what served before must still serve"
    Playbook("stage", profile="sim-tiny-tp4").ok()
    assert worker.run(f"sha256sum {path}") == good
    Playbook("serve", profile="sim-tiny-tp4").unchanged()


def test_a_killed_worker_is_named_by_status(nodes: dict[str, Any]) -> None:
    worker = nodes["gx10-sim-3"]
    worker.run("docker kill sim-tiny-tp4")
    assert worker.containers(running=True) == []
    output = Playbook("status").refused().output
    assert "NOT serving" in output
    assert "gx10-sim-3: container: found exited with code 137" in output


def test_another_profile_replaces_the_first_on_all_nodes(nodes: dict[str, Any]) -> None:
    output = Playbook("serve", profile="sim-tiny-tp2", **NEVER).ok().output
    assert "sim-tiny-tp2: serving" in output
    for name, node in nodes.items():
        names = [item["Name"] for item in node.containers()]
        assert names == (["/sim-tiny-tp2"] if name in (HEAD, "gx10-sim-2") else []), name
    assert ask().strip()


def test_a_foreign_process_on_the_port_is_named_and_left_alone(nodes: dict[str, Any]) -> None:
    head = nodes[HEAD]
    # On the loopback address, where the engine does not listen: both can hold the port.
    head.run("nohup python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &")
    assert eventually(lambda: head.run("ss -Hltn 'src 127.0.0.1:8000'"), 10)
    try:
        output = Playbook("serve", profile="sim-tiny-tp2", **NEVER).refused().output
        assert "port 8000: found pid" in output
        assert "http.server" in output
        assert ask().strip(), "what served before must still serve"
        assert head.run("pgrep -fc 'http.server 8000' || true").strip() != "0"
    finally:
        head.run("pkill -f '[h]ttp.server 8000'")


def test_a_link_that_is_down_is_named_in_seconds_and_nothing_is_stopped(nodes: dict[str, Any]) -> None:
    """Of a node that shall serve, and does not yet: one that serves ends its generation after 4 s without a link."""
    node, serving = nodes["gx10-sim-3"], (HEAD, "gx10-sim-2")
    before = {name: nodes[name].containers(running=True)[0]["Id"] for name in serving}
    device = node.device()
    node.run(f"ip link set {device} down")
    try:
        assert "state DOWN" in node.run(f"ip link show {device}")
        started = time.monotonic()
        output = Playbook("serve", profile="sim-tiny-tp4").refused().output
        print(f"refused after {time.monotonic() - started:.1f} s")
        assert "nothing was changed" in output
        assert "gx10-sim-3: " in output
        assert device in output.split("gx10-sim-3: ")[1].split("\n")[0]
        assert "no answer to" not in output, "its victims are named, too"
    finally:
        node.run(f"ip link set {device} up")
    assert eventually(lambda: "172.31.241.13" in node.run(f"ip -4 address show {device}"), 30)
    assert {name: nodes[name].containers(running=True)[0]["Id"] for name in serving} == before
    assert eventually(lambda: node.host.run("ip route get 172.31.241.11 | grep -c " + device).stdout.strip() == "1", 30)
    assert ask().strip(), "what served before must still serve"


def test_a_changed_flag_replaces_the_group_as_check_said(nodes: dict[str, Any]) -> None:
    extra: dict[str, Any] = {"profile": "sim-tiny-tp2", "override": {"args": {"max-num-seqs": 3}}, **NEVER}
    before = {name: nodes[name].containers()[0]["Id"] for name in (HEAD, "gx10-sim-2")}
    check = Playbook("serve", "--check", "--diff", **extra).unchanged()
    assert check.actions() == ["engine: replace the group: max-num-seqs 4 → 3"]
    assert {name: nodes[name].containers()[0]["Id"] for name in (HEAD, "gx10-sim-2")} == before
    run = Playbook("serve", **extra).ok()
    assert run.actions() == check.actions()
    assert "differs from its profile: args.max-num-seqs: 3, not 4" in run.output
    after = {name: nodes[name].containers()[0]["Id"] for name in (HEAD, "gx10-sim-2")}
    assert not set(before.values()) & set(after.values())
    assert "--max-num-seqs 3" in nodes[HEAD].run("ps -wweo args= | grep '[v]llm serve'")


def test_a_dead_engine_ends_its_container(nodes: dict[str, Any]) -> None:
    head = nodes[HEAD]
    pid = head.status()["evidence"]["engine_pid"]
    head.run(f"docker exec sim-tiny-tp2 sh -c 'kill -9 {pid}'")
    assert eventually(lambda: head.containers(running=False), 60), "the container is Up over a dead engine"
    assert head.status()["phase"] == "failed"
    assert "the engine was ended by SIGKILL" in head.status()["reason"]
    assert eventually(lambda: nodes["gx10-sim-2"].containers(running=False), 15), "the other rank was not told"
    output = Playbook("status").refused().output
    assert "gx10-sim-1: container: found exited with code 1 (gx10-sim-1: the engine was ended by SIGKILL" in output
    # Its victim names it, too.
    assert "gx10-sim-2: container: found exited with code 1 (gx10-sim-1: the engine was ended by SIGKILL" in output


def test_a_group_heals_by_itself(nodes: dict[str, Any]) -> None:
    """Ray's process on the worker dies: known on the head in seconds, with the worker's name, and both serve again without anybody."""
    extra: dict[str, Any] = {"profile": "sim-tiny-tp2", "override": {"args": {"max-num-seqs": 3}}}
    Playbook("serve", **extra).ok()
    head, worker = nodes[HEAD], nodes["gx10-sim-2"]
    before = {node.name: node.containers()[0]["Id"] for node in (head, worker)}
    generation, pid = head.status()["generation"], worker.run("pgrep -x raylet").strip()
    worker.run(f"kill -9 {pid}")
    # A zombie has the number, too, until it is waited for.
    assert eventually(lambda: not worker.run(f"ps -o stat= -p {pid} | grep -v Z || true").strip(), 5)
    # Before the next heartbeats of Ray are missed: those take a minute.
    assert eventually(lambda: head.status()["phase"] not in ("serving", "engine"), 15), head.status()
    assert eventually(lambda: head.status()["phase"] == "serving" and head.status()["generation"] == generation + 1, 240), head.status()
    assert ask().strip()
    for node in (head, worker):
        assert node.containers()[0]["Id"] == before[node.name], "healed by the supervisors, in the same containers"
        assert node.status()["restarts"] == "1 of 3 within an hour"
        assert node.status()["evidence"]["ended"].startswith("gx10-sim-2: "), node.status()
    assert "  healed  generation 2 since " in Playbook("status").ok().output
    Playbook("serve", **extra).unchanged()


def test_an_engine_that_cannot_start_takes_the_group_down_with_the_reason(tmp_path: Path, nodes: dict[str, Any]) -> None:
    parser = ("tool-call-parser: hermes", "tool-call-parser: no_such_parser")
    variables = profile(tmp_path, "broken", parser, ("name: sim-tiny-tp2", "name: broken"))
    output = Playbook("serve", **variables).refused().output
    assert "broken did not come up; every node was stopped" in output
    assert "gx10-sim-1 (rank 0): found phase failed; wanted serving" in output
    assert "it has never served, so it is not tried again" in output
    assert "invalid tool call parser: no_such_parser" in output, "the engine's own words are missing"
    for node in nodes.values():
        assert node.containers(running=True) == []


def test_one_node_alone(nodes: dict[str, Any]) -> None:
    Playbook("serve", profile="sim-tiny-tp2", override={"executor": "solo", "parallel": {"tensor": 1}}).ok()
    assert ask().strip()
    assert nodes["gx10-sim-2"].containers() == []
