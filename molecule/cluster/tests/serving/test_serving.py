"""Four ranks serve: one engine, one image, one set of weights, and nothing that a hostile neighbour would like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sim import API, HEAD, ROOT, Playbook, ask


def test_the_model_answers_over_the_network() -> None:
    assert ask().strip()


def test_one_container_per_node_runs_its_rank(nodes: dict[str, Any]) -> None:
    for rank, node in enumerate(nodes.values()):
        (container,) = node.containers(running=True)
        assert container["Name"] == "/sim-tiny-tp4"
        assert container["Config"]["Labels"]["gx10.serving.rank"] == str(rank)
        assert node.status()["phase"] == ("joined" if rank else "serving")


def test_the_supervisors_words_are_in_the_journal(nodes: dict[str, Any]) -> None:
    for rank, node in enumerate(nodes.values()):
        words = node.run("journalctl --identifier gx10 --no-pager --output cat").splitlines()
        assert words[-1] == f"sim-tiny-tp4: {'joined' if rank else 'serving'}"


def test_every_rank_has_a_part_of_the_model(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        ranks = node.run("ps -wweo args= | grep -c '^ray::RayWorkerProc' || true").strip()
        assert ranks == "1", f"{node.name}: {ranks} engine ranks"


def test_ray_has_the_fabric_addresses(head: Any, nodes: dict[str, Any]) -> None:
    program = "import json, ray; ray.init('auto', logging_level='ERROR', log_to_driver=False); print('NODES', json.dumps(ray.nodes()))"
    out = head.run(f'docker exec sim-tiny-tp4 python3 -c "{program}"')
    found = json.loads(out.split("NODES ")[1].splitlines()[0])
    assert sorted(node["NodeManagerAddress"] for node in found if node["Alive"]) == [f"172.31.241.1{n}" for n in range(1, 5)]
    assert sum(node["Resources"].get("GPU", 0) for node in found) == 4


def test_ray_refuses_who_has_no_token(head: Any) -> None:
    command = "docker exec -e RAY_AUTH_TOKEN_PATH= -e RAY_AUTH_MODE=disabled sim-tiny-tp4 python3 -c \"import ray; ray.init('auto')\""
    done = head.host.run(f"timeout 60 {command}")
    assert done.rc != 0
    assert "auth" in (done.stdout + done.stderr).lower()


def test_the_same_image_everywhere(nodes: dict[str, Any]) -> None:
    images = {node.containers()[0]["Image"] for node in nodes.values()}
    assert len(images) == 1
    for node in nodes.values():
        assert node.run("docker image inspect --format '{{.Id}}' vllm-node-sim:latest").strip() in images


def test_the_same_weights_everywhere(nodes: dict[str, Any]) -> None:
    source = ROOT / ".sim/checkpoints/tiny-qwen3"
    names = sorted(path.name for path in source.iterdir())
    assert len(names) >= 14
    sums = {node.run("cd /srv/models/gx10/tiny-qwen3 && sha256sum " + " ".join(names)) for node in nodes.values()}
    assert len(sums) == 1
    for node in nodes.values():
        manifest = json.loads(node.run("cat /var/lib/gx10/manifests/gx10--tiny-qwen3.json"))
        assert sorted(item["path"] for item in manifest["files"]) == names


def test_nothing_of_a_distribution_is_left(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        assert node.run("pgrep -c 'nginx|docker-registry' || true").strip() == "0"
        assert node.run("ls -d /var/lib/gx10/fanout/run /srv/models/gx10/tiny-qwen3/.gx10 2>/dev/null || true") == ""


def test_the_container_has_no_more_rights_than_it_needs(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        (container,) = node.containers()
        host = container["HostConfig"]
        assert not host["Privileged"]
        assert host["Init"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["CapDrop"] == ["ALL"]
        assert host["PidsLimit"] == 16384
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["LogConfig"]["Config"] == {"max-size": "50m", "max-file": "3"}
        mounts = {mount["Destination"]: mount for mount in container["Mounts"]}
        notices = {"/run/gx10/notices"} if node.name == HEAD else set()
        kept = {"/var/cache/gx10", "/run/systemd/journal/socket"}
        assert set(mounts) == {"/opt/gx10", "/run/gx10", "/root/.cache/huggingface", *kept, *notices}
        assert not mounts["/root/.cache/huggingface"]["RW"]
        assert not mounts["/opt/gx10"]["RW"]


def test_the_token_is_a_secret(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        path = "/var/lib/gx10/run/sim-tiny-tp4/ray_token"
        assert node.run(f"stat -c '%a %U' {path}").strip() == "600 root"
        token = node.run(f"cat {path}").strip()
        assert len(token) == 64
        for place in ("docker inspect sim-tiny-tp4", "docker logs sim-tiny-tp4 2>&1", "ps -wweo args=", "cat /var/lib/gx10/current.json"):
            assert token not in node.run(place), f"{node.name}: the token stands in {place}"


def test_the_api_listens_on_one_address(head: Any) -> None:
    listening = head.run("ss -Hltn 'sport = :8000'").split()
    assert "172.31.240.11:8000" in listening
    assert "0.0.0.0:8000" not in listening


def test_status_says_what_serves_where() -> None:
    output = Playbook("status").ok().output
    assert f"sim-tiny-tp4: serving at {API}" in output
    for rank in range(4):
        assert f"rank {rank}  gx10-sim-{rank + 1}" in output


def test_a_second_run_changes_nothing(nodes: dict[str, Any]) -> None:
    before = {name: node.containers()[0]["Id"] for name, node in nodes.items()}
    output = Playbook("serve", profile="sim-tiny-tp4").ok().output
    recap = [line for line in output.splitlines() if "changed=" in line]
    assert len(recap) == 5
    assert output.count("\nTASK [") <= 15
    assert all("changed=0 " in line for line in recap), recap
    assert {name: node.containers()[0]["Id"] for name, node in nodes.items()} == before


def test_a_bad_profile_touches_no_host(tmp_path: Path, nodes: dict[str, Any]) -> None:
    bad = tmp_path / "bad.yml"
    text = (ROOT / "model_profiles/sim-tiny-tp4.yml").read_text()
    bad.write_text(text.replace("executor: ray", "executor: rai").replace("max-num-seqs", "max-num-seq"))
    before = nodes[HEAD].containers()[0]["Id"]
    output = Playbook("serve", profile="bad", model_profiles_path=str(tmp_path)).refused().output
    assert "2 problems. No host was touched." in output
    assert "Did you mean 'ray'?" in output
    assert "Did you mean 'max-num-seqs'?" in output
    assert "gx10-sim-1" not in output
    assert nodes[HEAD].containers()[0]["Id"] == before
