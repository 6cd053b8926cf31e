"""Docker options: both of the field's spellings, one meaning, and what `docker_container` makes of it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.community.docker.plugins.module_utils._module_container.base import _preprocess_ulimits
from ansible_collections.gx10.serving.plugins.module_utils.plan import _options, _site
from conftest import ROOT, hostvars

SAMPLE = yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text())["gx10_container_options"]


def test_the_samples_limits_reach_docker() -> None:
    """The module's own code, not ours, says what it makes of them: an `=` would become part of the name."""
    options, problems = _options.parse(SAMPLE, "inventory")
    assert problems == []
    assert _preprocess_ulimits(None, {"ulimits": _options.parameters(options)["ulimits"]}) == {
        "ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}, {"Name": "stack", "Soft": 67108864, "Hard": 67108864}]
    }
    assert ("--ulimit", "memlock=-1:-1") in _options.flags(options)
    assert ("--device", "/dev/infiniband") in _options.flags(options)
    assert _options.parameters(options)["devices"] == ["/dev/infiniband:/dev/infiniband:rwm"]
    assert _options.parameters(options)["capabilities"] == ["IPC_LOCK"]


@pytest.mark.parametrize("text", ["memlock=8388608:8388608", "memlock:8388608:8388608", "memlock=8388608", "memlock:8388608"])
def test_both_spellings_mean_the_same(text: str) -> None:
    options, problems = _options.parse({"ulimits": [text]}, "inventory")
    assert problems == []
    assert options == {"ulimits": [{"name": "memlock", "soft": 8388608, "hard": 8388608}]}


BAD: list[tuple[Any, str]] = [
    ("--gpus all", "gx10_container_options: found '--gpus all'; wanted a mapping"),
    ({"ulimits": "memlock=-1"}, "ulimits: found 'memlock=-1'; wanted a list"),
    ({"ulimits": ["memlok=-1"]}, "found 'memlok=-1'; wanted NAME=SOFT:HARD"),
    ({"ulimits": ["memlock=-1:8"]}, "wanted a soft limit of at most the hard one"),
    ({"ulimits": ["memlock=9:8"]}, "wanted a soft limit of at most the hard one"),
    ({"ulimits": [{"memlock": -1}]}, "wanted NAME=SOFT:HARD"),
    ({"ulimits": ["memlock=-1", "memlock:1"]}, "found 'memlock 2 times'; wanted each limit once"),
    ({"cap_add": ["ALL"]}, "found ['ALL']; wanted a list of capabilities by name"),
    ({"cap_add": "IPC_LOCK"}, "wanted a list of capabilities"),
    ({"cap_add": ""}, "wanted a list of capabilities"),
    ({"devices": ["/dev/\u0131nfiniband"]}, "wanted a path below /dev"),
    ({"cap_add": [1]}, "wanted a list of capabilities"),
    ({"devices": ["/dev/mem"]}, "never the machine's memory"),
    ({"devices": ["/dev/./mem"]}, "never the machine's memory"),
    ({"devices": ["/dev/mem/."]}, "never the machine's memory"),
    ({"cap_add": ["CAP_CAP_ALL"]}, "found ['CAP_CAP_ALL']; wanted a list of capabilities by name"),
    ({"ulimits": ["nofile=١٠٢٤"]}, "NAME=SOFT:HARD"),
    ({"devices": ["/dev//kmem:/dev/x"]}, "never the machine's memory"),
    ({"devices": ["nvidia.com/gpu=all"]}, "a GPU by its CDI name is asked for with gpus: all"),
    ({"gpus": "²"}, "wanted all, or how many"),
    ({"devices": ["/etc/passwd"]}, "wanted a path below /dev"),
    ({"devices": ["/dev/../etc"]}, "wanted a path below /dev"),
    ({"devices": ["/dev/infiniband:/dev/infiniband:rr"]}, "wanted a path below /dev"),
    ({"devices": [None]}, "wanted a path below /dev"),
    ({"runtime": ""}, "wanted a runtime's name"),
    ({"runtime": "nvidia", "gpus": "all"}, "wanted runtime or gpus, not both"),
    ({"gpus": True}, "wanted all, or how many"),
    ({"gpus": 0}, "wanted all, or how many"),
    (
        {"ulimit": []},
        "ulimit: found an unknown option; wanted one of runtime, gpus, devices, cap_add, ulimits, accept. Did you mean 'ulimits'?",
    ),
]


@pytest.mark.parametrize(("raw", "expected"), BAD, ids=lambda item: item[:40] if isinstance(item, str) else "")
def test_what_docker_would_misread_is_refused(raw: Any, expected: str) -> None:
    _found, problems = _options.parse(raw, "inventory")
    assert len(problems) == 1, problems
    assert expected in str(problems[0])


@pytest.mark.parametrize(
    ("value", "count"), [("all", -1), (1, 1), ("64", 64), (65, None), (0, None), ("-1", None), ("100", None), (True, None)]
)
def test_how_many_gpus(value: Any, count: int | None) -> None:
    options, problems = _options.parse({"gpus": value}, "i")
    assert [problem.key for problem in problems] == ["gx10_container_options.gpus"] * (count is None)
    wanted = {} if count is None else {"device_requests": [{"count": count, "capabilities": [["gpu"]]}]}
    assert _options.parameters(options) == wanted
    assert _options.flags(options) == ([] if count is None else [("--gpus", str(value))])


@pytest.mark.parametrize(
    ("text", "short", "whole"),
    [
        ("/dev/nvidia0", "/dev/nvidia0", "/dev/nvidia0:/dev/nvidia0:rwm"),
        ("/dev/nvidia0:/dev/nvidia1", "/dev/nvidia0:/dev/nvidia1", "/dev/nvidia0:/dev/nvidia1:rwm"),
        ("/dev/nvidia0:/dev/nvidia0:rm", "/dev/nvidia0:/dev/nvidia0:rm", "/dev/nvidia0:/dev/nvidia0:rm"),
        *[(f"/dev/nvidia0:/dev/nvidia0:{text}", None, None) for text in ("rr", "a", "r:w", "")],
        *[(text, None, None) for text in ("/dev/nvidia0:/b", "/dev", "/dev/", "/b", "/dev/../b", "//dev/nvidia0", "/DEV/nvidia0", "", 1)],
    ],
)
def test_a_device(text: Any, short: str | None, whole: str | None) -> None:
    options, problems = _options.parse({"devices": [text]}, "i")
    assert [problem.key for problem in problems] == ["gx10_container_options.devices"] * (short is None)
    assert _options.flags(options) == ([("--device", short)] if short else [])
    assert _options.parameters(options) == {"devices": [whole] if whole else []}


NEEDED = (
    *("/dev/infiniband", "/dev/infiniband/uverbs0", "/dev/infiniband/rdma_cm", "/dev/nvidia0", "/dev/nvidiactl"),
    *("/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/./infiniband/", "/dev/infiniband:/dev/infiniband:rw"),
)
# Disks by all of their names, memory in a file system, terminals, virtual machines, and what only looks like one that is needed.
OTHERS = (
    *("/dev/sda", "/dev/nvme0n1", "/dev/dm-0", "/dev/mapper/root", "/dev/disk/by-id/nvme-x", "/dev/loop0", "/dev/kvm", "/dev/vfio/vfio"),
    *("/dev/fuse", "/dev/shm", "/dev/pts", "/dev/tty1", "/dev/hugepages", "/dev/fd/0", "/dev/char/1", "/dev/block", "/dev/net/tun"),
    *("/dev/INFINIBAND", "/dev/infiniband2", "/dev/infiniband/../sda", "/dev/infiniband/sda", "/dev/nvidia0/x", "/dev/nvidiax"),
    *("/dev/./sda", "/dev//sda", "/dev/sda:/dev/nvidia0", "/dev/nvidia0:/dev/sda", "/dev/sda:/dev/sda:r", "/dev/infiniband/umad0"),
    *("/dev/ｍem", "/dev/nvidia٠", "/dev/nvidia0\n"),
)


@pytest.mark.parametrize("text", NEEDED)
def test_finding_2_what_an_engine_opens_is_given(text: str) -> None:
    options, problems = _options.parse({"devices": [text]}, "i")
    assert (problems, len(options["devices"])) == ([], 1)


@pytest.mark.parametrize("text", OTHERS)
def test_finding_2_no_other_device_is_given(text: str) -> None:
    options, (problem,) = _options.parse({"devices": ["/dev/infiniband", text]}, "i")
    assert [device["host"] for device in options["devices"]] == ["/dev/infiniband"]
    assert problem.key == "gx10_container_options.devices" and problem.found == repr(text)


def test_a_site_allows_a_device_and_a_capability_by_name() -> None:
    raw = {"devices": ["/dev/fuse", "/dev/sda:/dev/sda:r"], "cap_add": ["SYS_PTRACE", "CAP_SYS_ADMIN"]}
    options, problems = _options.parse(raw, "i")
    assert (options["devices"], [problem.code for problem in problems]) == ([], ["refused"] * 4)
    assert "name /dev/fuse in gx10_container_options.accept, too" in problems[0].hint
    assert "name SYS_PTRACE in gx10_container_options.accept, too" in problems[2].hint
    options, (problem, other) = _options.parse({**raw, "accept": ["/dev//fuse", "cap_sys_ptrace"]}, "i")
    assert (problem.found, other.found) == ("'/dev/sda:/dev/sda:r'", "'SYS_ADMIN'")
    assert _options.flags(options)[0] == ("--device", "/dev/fuse")
    options, problems = _options.parse({**raw, "accept": ["/dev/fuse", "/dev/sda", "SYS_PTRACE", "SYS_ADMIN"]}, "i")
    # It allows, and gives nothing by itself; the plan has it in what it allows.
    assert (problems, sorted(options)) == ([], ["cap_add", "devices"])


@pytest.mark.parametrize("name", ["/dev", "/dev/", "/dev/mem", "/dev/./kmem", "/dev/port", "ALL", "cap_all", "/dev/*", "/etc", "", 1, None])
def test_what_nobody_can_allow(name: Any) -> None:
    _found, (problem,) = _options.parse({"accept": [name]}, "i")
    assert problem.key == "gx10_container_options.accept"
    assert len(_options.parse({"accept": name}, "i")[1]) == 1
    # Nor does the word help.
    assert len(_options.parse({"accept": [name], "devices": [name]}, "i")[1]) == 2


@pytest.mark.parametrize(
    ("text", "soft", "hard"),
    [
        ("core=0", 0, 0),
        ("nofile=1:2", 1, 2),
        ("nofile=2:2", 2, 2),
        ("stack=5:-1", 5, -1),
        ("rss=-1:-1", -1, -1),
        (f"cpu={'9' * 19}", 10**19 - 1, 10**19 - 1),
    ],
)
def test_a_limit(text: str, soft: int, hard: int) -> None:
    options, problems = _options.parse({"ulimits": [text]}, "i")
    name = text.split("=")[0]
    assert (problems, _options.flags(options)) == ([], [("--ulimit", f"{name}={soft}:{hard}")])
    assert _options.parameters(options) == {"ulimits": [f"{name}:{soft}:{hard}"]}


def test_everything_else_is_named() -> None:
    raw = {
        "runtime": "nvidia",
        "gpus": 1,
        "cap_adds": [],
        "ulimits": ["core=1", "core=2", "cpu=1", "rss=1", "rss=2"],
        "cap_add": ("A", "SYS_NICE"),
    }
    options, problems = _options.parse(raw, "i")
    assert [(problem.key.rpartition(".")[2], problem.found, problem.hint.split(":")[0]) for problem in problems] == [
        ("cap_adds", "an unknown option", "Did you mean 'cap_add'?"),
        ("gpus", "1", "Either gives the container the node's GPUs."),
        ("ulimits", "'core 2 times'", ""),
        ("ulimits", "'rss 2 times'", ""),
        ("cap_add", "('A', 'SYS_NICE')", "ALL would undo the isolation; RDMA needs IPC_LOCK alone."),
    ]
    assert options["runtime"] == "nvidia" and options["cap_add"] == ["SYS_NICE"]
    assert _options.flags({"runtime": "r", "cap_add": ["A", "B"]}) == [("--runtime", "r"), ("--cap-add", "A"), ("--cap-add", "B")]
    assert _options.parameters({"runtime": "r", "cap_add": ["A"]}) == {"runtime": "r", "capabilities": ["A"]}
    assert len(_options.parse({"runtime": "-x"}, "i")[1]) == len(_options.parse({"runtime": 1}, "i")[1]) == 1


def test_what_is_meant_is_taken_once() -> None:
    found, problems = _options.parse(
        {"cap_add": ["cap_ipc_lock", "IPC_LOCK"], "devices": ["/dev//infiniband", "/dev/infiniband"]}, "inventory"
    )
    assert problems == []
    assert found["cap_add"] == ["IPC_LOCK"]
    assert [device["host"] for device in found["devices"]] == ["/dev/infiniband"]


def test_all_problems_come_at_once(resolve: Any) -> None:
    variables = hostvars(gx10_container_options={"ulimits": ["memlock=x"], "cap_add": ["ALL"], "privileged": True})
    assert len(resolve("sim-tiny-tp2", variables=variables)["problems"]) == 3


def test_a_published_port_has_the_apis_address(resolve: Any) -> None:
    plan = resolve("nex-n2-mini", variables=hostvars(**{"gx10_container_options": SAMPLE}))["plan"]
    assert plan["nodes"][0]["container"]["options"]["publish"] == ["192.168.1.11:8000:8000"]
    assert plan["ready"]["url"] == "http://192.168.1.11:8000"
    assert not any("all of" in text for text in plan["warnings"])
    plan = resolve("nex-n2-mini", variables=hostvars(gx10_api_address="0.0.0.0", gx10_accept_open_api=True))["plan"]
    assert plan["nodes"][0]["container"]["options"]["publish"] == ["0.0.0.0:8000:8000"]
    assert any("the API listens on all of gx10-1's addresses" in text for text in plan["warnings"])
    variables = hostvars()
    variables["gx10-1"]["ansible_host"] = "spark1.local"
    (problem,) = resolve("nex-n2-mini", variables=variables)["problems"]
    assert "gx10_api_address: found 'spark1.local'; wanted an IP address of the head" in problem
    (problem,) = resolve("sim-tiny-tp2", variables=variables)["problems"]
    assert "A name may lead to another address on the head itself" in problem


@pytest.mark.parametrize(
    ("options", "code"),
    [
        *[(None, ""), ({"gpus": "all"}, ""), ({"runtime": "nvidia"}, ""), ({"runtime": "my-nvidia"}, "")],
        *[({}, "no-gpu"), ({"runtime": "runc"}, "no-gpu"), ({"devices": []}, "no-gpu"), ({"runtime": "runc", "gpus": "all"}, "")],
    ],
)
def test_a_cuda_image_gets_a_gpu(options: Any, code: str) -> None:
    def found(image: Any, *said: str) -> list[str]:
        return [problem.code for problem in _site.gpu(image, {} if options is None else {"container_options": options}, "i", said)]

    cuda = {"expect": {"cuda": "13.0"}}
    assert found(cuda) == found(cuda, "gx10_container_options.devices", "xgx10_container_options") == ([code] if code else [])
    assert [found(image) for image in ({}, {"expect": 1}, {"expect": {"cuda": None}})] == [[]] * 3
    for key in ("gx10_container_options", "gx10_container_options.runtime", "n1.gx10_container_options.gpus"):
        assert found(cuda, key) == []
