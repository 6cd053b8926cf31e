"""From a folder on the control node to four nodes, through everything that goes wrong in the field. In file order."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sim import HEAD, ROOT, Node, Playbook, eventually
from stub_hub import StubHub

MODEL = "gx10/random"
FOLDER = f"/srv/models/{MODEL}"
RECORD = f"/var/lib/gx10/manifests/{MODEL.replace('/', '--')}.json"
SHARDS = [f"model-0000{number}-of-00004.safetensors" for number in range(1, 5)]
SHARD_BYTES = 8 * 1024**2
NODES = [f"gx10-sim-{number}" for number in range(1, 5)]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random bytes: four shards, an index, a configuration and a licence."""
    folder = tmp_path_factory.mktemp("random")
    generator = random.Random(4)
    index = {}
    for number, name in enumerate(SHARDS):
        tensor = f"layer.{number}"
        header = json.dumps({tensor: {"dtype": "U8", "shape": [SHARD_BYTES], "data_offsets": [0, SHARD_BYTES]}}).encode()
        (folder / name).write_bytes(struct.pack("<Q", len(header)) + header + generator.randbytes(SHARD_BYTES))
        index[tensor] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "config.json").write_text("{}")
    (folder / "LICENSE").write_text("Do as you like.")
    return folder


@pytest.fixture(scope="session")
def hashes(source: Path) -> str:
    argv = ["sh", "-c", "sha256sum * | sort"]
    return subprocess.run(argv, cwd=source, capture_output=True, text=True, check=True).stdout


def total(source: Path) -> int:
    return sum(path.stat().st_size for path in source.iterdir())


def stage(source: Path | None = None, **extra: Any) -> Playbook:
    """stage.yml; with a source on the control node, or from what the nodes have."""
    return Playbook("stage", model=MODEL, gx10_weights_sources={MODEL: str(source)} if source else {}, **extra)


def found(node: Node) -> str:
    return node.run(f"cd {FOLDER} && sha256sum * | sort")


def nothing_left(nodes: dict[str, Node]) -> None:
    """No server, no program, no working folder, no half file."""
    for node in nodes.values():
        assert node.run("ss -Hltn 'sport = :8731'") == "", node.name
        assert node.run("pgrep -x nginx || true") == "", node.name
        assert node.run("ls -A /var/lib/gx10/fanout | grep -v program || true") == "", node.name


def test_check_mode_on_virgin_nodes_changes_nothing(source: Path, nodes: dict[str, Node]) -> None:
    Playbook("stage", "--check", "--diff", model=MODEL, gx10_weights_sources={MODEL: str(source)}).ok()
    for node in nodes.values():
        assert node.run(f"ls -d {FOLDER} 2>/dev/null || true") == ""


def test_a_fresh_stage_travels_once_through_the_chain(source: Path, hashes: str, nodes: dict[str, Node]) -> None:
    before = {name: node.fabric() for name, node in nodes.items()}
    output = stage(source).ok().output
    assert f"{MODEL}: whole and verified on {', '.join(NODES)}" in output
    sent = {name: (node.fabric() - before[name]) / total(source) for name, node in nodes.items()}
    assert sent[HEAD] <= 1.05, sent
    assert max(sent.values()) <= 1.1, sent
    for node in nodes.values():
        cached = node.run(f"fincore --bytes --noheadings --output RES {FOLDER}/{SHARDS[0]}").strip()  # before we read it
        assert int(cached) < SHARD_BYTES / 10, f"{node.name} still holds {cached} bytes in its page cache"
        assert found(node) == hashes
        assert node.run(f"ls {FOLDER}/.gx10 2>/dev/null || true") == ""
        manifest = json.loads(node.run(f"cat {RECORD}"))
        assert sorted(item["path"] for item in manifest["files"]) == sorted(path.name for path in source.iterdir())
    nothing_left(nodes)


def test_a_second_stage_changes_and_ships_nothing(source: Path, nodes: dict[str, Node]) -> None:
    before = {name: node.fabric() for name, node in nodes.items()}
    stage(source).unchanged()
    assert all(node.fabric() - before[name] < 50_000 for name, node in nodes.items())


def test_a_silently_flipped_byte_is_found_by_a_full_read(hashes: str, nodes: dict[str, Node]) -> None:
    """Size, mtime and, by way of the cache of hashes, ctime as before: only reading every byte can tell."""
    node = nodes["gx10-sim-3"]
    path = f"{FOLDER}/{SHARDS[1]}"
    node.run(
        f"cp -p {path} /tmp/stamp; printf '\\377\\377' | dd of={path} bs=1 seek=5000 conv=notrunc status=none; touch -r /tmp/stamp {path}"
    )
    good = hashes.split(SHARDS[1])[0].split()[-1]
    key = "{0.st_dev}:{0.st_ino}:{0.st_size}:{0.st_mtime_ns}:{0.st_ctime_ns}"
    forge = f"import json, os; p = '/var/lib/gx10/hashes.json'; d = json.load(open(p)); d['{key}'.format(os.stat('{path}'))] = '{good}'; "
    forge += "json.dump(d, open(p, 'w'))"
    node.run(f'python3 -c "{forge}"')
    assert found(node) != hashes
    Playbook("verify_weights", model=MODEL).ok()
    output = Playbook("verify_weights", model=MODEL, verify="full").refused().output
    assert f"failed: gx10-sim-3: weights {MODEL}: found {SHARDS[1]}: other content of the same size" in output
    before = node.fabric("rx")
    stage(verify="full").ok()
    assert found(node) == hashes
    assert SHARD_BYTES <= node.fabric("rx") - before <= 1.1 * SHARD_BYTES, "only that file travels"


def test_every_kind_of_damage_is_named_and_repaired_from_whoever_is_right(hashes: str, nodes: dict[str, Node]) -> None:
    nodes[HEAD].run(f"printf 'version https://git-lfs.github.com/spec/v1\\n' > {FOLDER}/{SHARDS[0]}")
    nodes["gx10-sim-2"].run(f"truncate -s -100 {FOLDER}/{SHARDS[1]}")
    nodes["gx10-sim-3"].run(f"rm {FOLDER}/{SHARDS[2]}")
    nodes["gx10-sim-4"].run(f"ln -sf ../nowhere {FOLDER}/{SHARDS[3]}")
    output = Playbook("verify_weights", model=MODEL).refused().output
    assert f"failed: {HEAD}: weights {MODEL}: found {SHARDS[0]}: 43 bytes instead of" in output
    assert f"failed: gx10-sim-2: weights {MODEL}: found {SHARDS[1]}: 83" in output
    assert f"failed: gx10-sim-3: weights {MODEL}: found {SHARDS[2]}: missing" in output
    assert f"failed: gx10-sim-4: weights {MODEL}: found {SHARDS[3]}: missing" in output
    overview = Playbook("weights").ok().output
    assert "found a Git LFS pointer" in overview
    assert "dangling link" in overview
    stage().ok()
    for node in nodes.values():
        assert found(node) == hashes
    Playbook("verify_weights", model=MODEL).ok()


def test_an_unknown_file_is_named_and_left_alone(nodes: dict[str, Node]) -> None:
    nodes["gx10-sim-2"].run(f"echo mine > {FOLDER}/notes.txt")
    assert "notes.txt: unknown to the manifest" in Playbook("verify_weights", model=MODEL).refused().output
    assert "unknown: notes.txt" in Playbook("weights").ok().output
    stage().unchanged()
    nodes["gx10-sim-2"].run(f"rm {FOLDER}/notes.txt")


def test_serve_refuses_other_content_by_file_and_node(nodes: dict[str, Node]) -> None:
    """A user's own model profile on these weights: refused before any engine is touched."""
    tiny = "/srv/models/gx10/tiny-qwen3"
    Playbook("stage", profile="sim-tiny-tp4").ok()
    node = nodes["gx10-sim-4"]
    node.run(f"printf x | dd of={tiny}/model-00002-of-00010.safetensors bs=1 seek=3000 conv=notrunc status=none")
    # The role alone: what stands before it in serve.yml (the image) is another scenario's.
    output = Playbook("stage", profile="sim-tiny-tp4", weights_repair=False).refused().output
    assert f"gx10-sim-4: {tiny}/model-00002-of-00010.safetensors: found other content of the same size" in output
    Playbook("stage", profile="sim-tiny-tp4").ok()


def test_a_full_disk_is_refused_with_numbers_and_the_others_are_served(source: Path, hashes: str, nodes: dict[str, Node]) -> None:
    node = nodes["gx10-sim-3"]
    for name in ("gx10-sim-2", "gx10-sim-3"):
        nodes[name].run(f"rm -r {FOLDER}")
    node.run("truncate -s 24M /disk.img && mkfs.ext4 -q /disk.img && mkdir -p /srv/models && mount -o loop /disk.img /srv/models")
    try:
        node.run("mkdir -p /srv/models/gx10/old && head -c 3000000 /dev/urandom > /srv/models/gx10/old/x.bin")
        output = stage().refused().output
        assert "gx10-sim-3: /srv/models: found" in output
        assert "wanted 32.6 MiB for 7 files" in output
        assert "Could be removed: /srv/models/gx10/old (2.9 MiB, not whole)" in output
        assert "gx10-sim-3: not staged, see above; the other nodes are." in output
        assert node.run(f"ls {FOLDER} 2>/dev/null || true") == "", "no partial final name"
        assert found(nodes["gx10-sim-2"]) == hashes
        node.run("mount -o remount,ro /srv/models")
        assert "found a read-only mount" in stage().refused().output
    finally:
        node.run("umount -l /srv/models; rm /disk.img")
    stage().ok()
    assert found(node) == hashes
    nothing_left(nodes)


def test_a_killed_transfer_resumes(hashes: str, nodes: dict[str, Node]) -> None:
    node = nodes["gx10-sim-2"]
    node.run(f"rm -r {FOLDER}")
    for other in nodes.values():
        other.shape("40mbit")
    try:
        running = Playbook("stage", model=MODEL, background=True)
        part = f"cat {FOLDER}/.gx10/*.pieces 2>/dev/null | wc -l"
        assert eventually(lambda: int(node.run(part)) >= 4, 60), "nothing arrived"
        node.run("pkill -9 -f /var/lib/gx10/fanout/run/job.json")
        output = running.wait().refused().output
        assert "gx10-sim-2: not staged" in output
        assert "the program ended without a word" in output
        nothing_left(nodes)
        arrived = sum(
            int(end) - int(start) for start, end in (line.split() for line in node.run(f"cat {FOLDER}/.gx10/*.pieces").splitlines())
        )
        assert arrived > 0
        before = node.fabric("rx")
        stage().ok()
    finally:
        for other in nodes.values():
            other.shape("")
    assert found(node) == hashes
    size = sum(SHARD_BYTES for _shard in SHARDS)
    assert node.fabric("rx") - before <= 1.05 * (size - arrived) + 4 * SHARD_BYTES / 4, "what had arrived travelled again"


def test_a_node_down_in_mid_chain_is_passed_by_and_named(hashes: str, nodes: dict[str, Node]) -> None:
    for name in NODES[1:]:
        nodes[name].run(f"rm -r {FOLDER}")
    for other in nodes.values():
        other.shape("20mbit")
    running = Playbook("stage", model=MODEL, background=True)
    assert eventually(lambda: int(nodes["gx10-sim-4"].run(f"cat {FOLDER}/.gx10/*.pieces 2>/dev/null | wc -l")) >= 1, 60)
    subprocess.run(["docker", "kill", "gx10-sim-3"], check=True, capture_output=True)
    try:
        output = running.wait().refused().output
        assert "gx10-sim-3: not staged" in output
        assert found(nodes["gx10-sim-2"]) == hashes
        assert found(nodes["gx10-sim-4"]) == hashes
        assert "passed http://172.31.241.13:8731 by" in output
    finally:
        subprocess.run([str(ROOT / ".venv/bin/ansible-playbook"), str(ROOT / "molecule/shared/create.yml")], check=True, cwd=ROOT)
    for other in nodes.values():
        other.shape("")
    stage().ok()
    assert found(nodes["gx10-sim-3"]) == hashes
    nothing_left(nodes)


def test_removing_needs_the_name_twice_and_never_takes_the_only_copy(source: Path, nodes: dict[str, Node]) -> None:
    assert "found 'gx10/randon'; wanted 'gx10/random'" in Playbook("remove_weights", model=MODEL, confirm="gx10/randon").refused().output
    assert "wanted one that stays" in Playbook("remove_weights", model=MODEL, confirm=MODEL).refused().output
    Playbook("remove_weights", model=MODEL, confirm=MODEL, only=["gx10-sim-4"]).ok()
    assert nodes["gx10-sim-4"].run(f"ls -d {FOLDER} 2>/dev/null || true") == ""
    nodes[HEAD].run(f"test -f {FOLDER}/{SHARDS[0]}")
    Playbook("remove_weights", model=MODEL, confirm=MODEL, gx10_weights_sources={MODEL: str(source)}).ok()
    assert all(node.run(f"ls -d {FOLDER} 2>/dev/null || true") == "" for node in nodes.values())


def test_one_node_downloads_a_pinned_revision_and_the_others_get_it_from_there(
    source: Path, hashes: str, tmp_path: Path, nodes: dict[str, Node]
) -> None:
    revision = "5" * 40
    token = tmp_path / "token"
    token.write_text("hf_secret_of_the_test")
    hub = StubHub("172.31.240.1", MODEL, revision, source)
    extra = {"revision": revision, "gx10_hub_endpoint": hub.url, "gx10_hub_token_file": str(token), "hub_image": "vllm-node-sim:latest"}
    assert "found http:// with a token; wanted https://HOST" in stage(**extra).refused().output
    # The stub of the hub speaks no TLS.
    extra["gx10_accept_plain_hub"] = True
    try:
        token.chmod(0o644)
        assert "found mode 0644; wanted a file that only its owner can read" in stage(**extra).refused().output
        assert hub.requests == []
        token.chmod(0o600)
        output = stage(**extra).ok().output
    finally:
        hub.stop()
    assert {address for address, _path, _token in hub.requests} == {"172.31.240.11"}, "only the head downloads"
    assert {given for _address, _path, given in hub.requests} == {"Bearer hf_secret_of_the_test"}
    assert "hf_secret_of_the_test" not in output
    for node in nodes.values():
        assert found(node) == hashes
        assert json.loads(node.run(f"cat {RECORD}"))["revision"] == revision
        assert node.run("ls /var/lib/gx10/download 2>/dev/null || true") == "", "the token was left"
    # Everything after that is offline.
    stage(revision=revision).unchanged()
