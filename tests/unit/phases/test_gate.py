"""The gate and the status: each check fails on its own fault, and missing evidence is never a pass."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine, _gate
from ansible_collections.gx10.serving.plugins.module_utils.phases._types import Api, Record, Result
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve
from conftest import hostvars

IMAGE = "sha256:" + "1" * 64


@pytest.fixture
def record(resolve: Any) -> Any:
    plan = resolve("sim-tiny-tp2", variables=hostvars(3))["plan"]
    parts = {name: _engine.part(plan, name, IMAGE, "sha256:w") for name in ("gx10-1", "gx10-2", "gx10-3")}
    return {"plan": plan, "image_id": IMAGE, "parts": parts}


@pytest.fixture
def infos(record: Any) -> dict[str, Any]:
    """engine_info of a healthy cluster."""
    plan = record["plan"]
    found: dict[str, Any] = {"gx10-3": {"containers": [], "listeners": []}}
    for node in plan["nodes"]:
        status = {
            "phase": "joined" if node["rank"] else "serving",
            "evidence": {"members": [one["address"] for one in plan["nodes"]]},
            "phases": [{"name": "ray", "at": 10.0}, {"name": "engine", "at": 13.0}, {"name": "serving", "at": 53.5}],
        }
        found[node["name"]] = {
            "containers": [
                {
                    "name": "sim-tiny-tp2", "id": "c" * 64, "image": IMAGE, "running": True, "exit_code": 0, "status": status,
                    "labels": _engine.labels(plan, record["parts"][node["name"]]),
                }
            ],
            "listeners": [{"port": 8000, "pid": 7, "command": "vllm", "container": "c" * 64}] if node["rank"] == 0 else [],
        }  # fmt: skip
    return found


@pytest.fixture
def api() -> Any:
    return {
        "health": 200,
        "models": ["tiny-qwen3"],
        "chat": {"status": 200, "text": "hello", "error": ""},
        "metrics": {"vllm:generation_tokens_total": 32.0},
    }


LOG = {"facts": {"kv_cache_tokens": 1000}}


def written(now: Any, record: Any, passed: bool) -> list[tuple[str, Any]]:
    """The files of a node after a gate, read."""
    return [(file["path"], json.loads(base64.b64decode(file["content"]))) for file in _gate.record_files(now, record, passed)]


def test_what_ran_good_before_is_kept_before_it_is_replaced(record: Any) -> None:
    before = {**record, "image_id": "sha256:" + "2" * 64}
    now = {"record": before, "good": {"last": before, "previous": {}, "at": 0.0}}
    assert written(now, record, passed=True) == [("previous-good.json", before), ("last-good.json", record), ("current.json", record)]
    # What did not pass is what runs, and nobody's good one.
    assert written(now, record, passed=False) == [("current.json", record)]
    # What had passed, and fails later, is said; and again when it passes.
    failed = {**record, "refused": True}
    assert written({"record": record, "good": {"last": record}}, failed, passed=False) == [("current.json", failed)]
    assert written({"record": failed, "good": {"last": record}}, record, passed=True) == [("current.json", record)]


def test_finding_2_a_record_is_for_root_alone(record: Any) -> None:
    """A site's environment stands in its plan."""
    now: Any = {"record": {}, "good": {"last": {"plan": {}, "image_id": IMAGE}, "previous": {}, "at": 0.0}}
    assert [file["mode"] for file in _gate.record_files(now, record, passed=True)] == ["0600"] * 3


def test_what_is_kept_already_is_not_written_again(record: Any) -> None:
    none = {"record": {}, "good": {"last": {}, "previous": {}, "at": 0.0}}
    assert [name for name, _text in written(none, record, passed=True)] == ["last-good.json", "current.json"]
    same = {"record": record, "good": {"last": record, "previous": {}, "at": 0.0}}
    assert written(same, record, passed=True) == []
    # The same plan and image, booted again: what was good before is still good before.
    booted = {**record, "boots": {"gx10-1": {}}}
    assert [name for name, _text in written(same, booted, passed=True)] == ["last-good.json", "current.json"]


def judge(record: Record, infos: dict[str, Any], api: Api | None, log: Any = LOG) -> Result:
    """What the gate does."""
    checks = _gate.container_checks(record, infos) + _gate.membership_checks(record, infos)
    checks += _gate.api_checks(record, infos, api) + _gate.evidence_checks(record["plan"], log, api["metrics"] if api else {})
    return _gate.document(record, checks, infos, api)


def test_a_healthy_cluster_passes(record: Record, infos: dict[str, Any], api: Api) -> None:
    result = judge(record, infos, api)
    assert result["ok"], _gate.text(result)
    assert result["boot"] == [{"phase": "ray", "seconds": 3.0}, {"phase": "engine", "seconds": 40.5}]
    text = _gate.text(result)
    assert "serving at http://192.168.1.11:8000" in text
    assert "rank 1  gx10-2 (worker, 192.168.177.12)" in text
    assert "boot    44 s (ray 3 s, engine 40 s)" in text


def test_an_override_shows_in_the_result(record: Record, infos: dict[str, Any], api: Api) -> None:
    record["plan"]["deviations"] = [{"key": "args.max-num-seqs", "profile": 4, "launch": 8}]
    assert "differs from its profile: args.max-num-seqs: 8, not 4" in _gate.text(judge(record, infos, api))


def head(infos: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = infos["gx10-1"]["containers"][0]
    return container


def worker(infos: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = infos["gx10-2"]["containers"][0]
    return container


FAULTS: list[tuple[str, Any, str, str]] = [
    ("node gone", lambda i, a: i.pop("gx10-2"), "gx10-2: node", "no answer"),
    ("no container", lambda i, a: i["gx10-2"]["containers"].clear(), "gx10-2: container", "no container"),
    (
        "killed",
        lambda i, a: worker(i).update(running=False, exit_code=137),
        "gx10-2: container",
        "exited with code 137; its last word was joined",
    ),
    (
        "ended by itself",
        lambda i, a: worker(i).update(running=False, exit_code=1, status={"phase": "failed", "reason": "gx10-2: out of memory"}),
        "gx10-2: container",
        "exited with code 1 (gx10-2: out of memory)",
    ),
    (
        "killed while it was asked to stop",
        lambda i, a: worker(i).update(running=False, exit_code=137, status={"phase": "stopping", "reason": ""}),
        "gx10-2: container",
        "exited with code 137 (last phase stopping)",
    ),
    ("old plan", lambda i, a: worker(i)["labels"].update({"gx10.serving.hash": "sha256:old"}), "gx10-2: plan hash", "sha256:old"),
    ("other image", lambda i, a: worker(i).update(image="sha256:2"), "gx10-2: image", "sha256:2"),
    ("not joined", lambda i, a: worker(i)["status"].update(phase="ray"), "gx10-2: phase", "ray"),
    (
        "yesterday's model on an idle node",
        lambda i, a: i["gx10-3"]["containers"].append({"name": "old"}),
        "gx10-3: no other container",
        "old",
    ),
    ("wrong members", lambda i, a: head(i)["status"].update(evidence={"members": ["10.0.0.1"]}), "gx10-1: Ray nodes", "10.0.0.1"),
    ("no evidence of members", lambda i, a: head(i)["status"].update(evidence={}), "unknown: gx10-1: Ray nodes", "unknown"),
    ("health", lambda i, a: a.update(health=503), "gx10-1: health", "503"),
    ("other model", lambda i, a: a.update(models=["other"]), "gx10-1: model", "other"),
    ("empty answer", lambda i, a: a["chat"].update(text=" \n"), "gx10-1: chat completion", "' \\n'"),
    ("error", lambda i, a: a["chat"].update(status=500, error="EngineDeadError"), "gx10-1: chat completion", "EngineDeadError"),
    ("nobody listens", lambda i, a: i["gx10-1"]["listeners"].clear(), "gx10-1: listener on 8000", "nobody"),
    (
        "a stale server shares the port",
        lambda i, a: i["gx10-1"]["listeners"].append({"port": 8000, "pid": 9, "command": "old vllm", "container": "d" * 64}),
        "gx10-1: listener on 8000",
        "pid 9 old vllm",
    ),
    (
        "drafts unasked",
        lambda i, a: a["metrics"].update({"vllm:spec_decode_num_draft_tokens_total": 5.0}),
        "gx10-1: speculative decoding",
        "5",
    ),
]


@pytest.mark.parametrize(("fault", "where", "found"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_each_fault_fails_its_check(record: Any, infos: Any, api: Any, fault: Any, where: str, found: str) -> None:
    fault(infos, api)
    result = judge(record, infos, api)
    assert not result["ok"]
    (line,) = [line for line in _gate.text(result).splitlines() if where in line]
    assert found in line
    assert "NOT serving" in _gate.text(result)


def test_no_line_in_the_log_is_unknown_and_fails(record: Any, infos: Any, api: Any) -> None:
    result = judge(record, infos, api, {})
    assert not result["ok"]
    assert "unknown: gx10-1: KV cache" in _gate.text(result)


def test_an_api_that_was_not_asked_fails(record: Any, infos: Any) -> None:
    assert "gx10-1: API: found no answer" in _gate.text(judge(record, infos, None))


@pytest.mark.parametrize(
    ("metrics", "ok", "found"),
    [
        ({"vllm:spec_decode_num_draft_tokens_total": 100.0, "vllm:spec_decode_num_accepted_tokens_total": 86.0}, True, "86.0% of 100"),
        ({"vllm:spec_decode_num_draft_tokens_total": 100.0, "vllm:spec_decode_num_accepted_tokens_total": 0.0}, False, "0.0% of 100"),
        ({"vllm:spec_decode_num_draft_tokens_total": 0.0, "vllm:spec_decode_num_accepted_tokens_total": 0.0}, None, "unknown"),
        ({}, None, "unknown"),
    ],
)
def test_acceptance_is_measured_or_unknown(resolve: Any, metrics: dict[str, float], ok: bool | None, found: str) -> None:
    plan = resolve("qwen397-mtp2")["plan"]
    checks = _gate.evidence_checks(plan, {"facts": {"kv_cache_tokens": 551076}}, metrics)
    (rate,) = [item for item in checks if item["name"] == "acceptance rate"]
    assert rate["ok"] is ok
    assert found in rate["found"]


@pytest.mark.parametrize(("facts", "ok"), [({"acceptance_rate": 0.56}, True), ({"acceptance_rate": 0.0}, False), ({}, None)])
def test_acceptance_of_sglang_is_in_its_log(resolve: Any, facts: Any, ok: bool | None) -> None:
    plan = resolve("nemotron3-super-sglang")["plan"]
    (rate,) = [item for item in _gate.evidence_checks(plan, {"facts": facts}, {}) if item["name"] == "acceptance rate"]
    assert rate["ok"] is ok


@pytest.mark.parametrize(
    ("metrics", "ok", "found"),
    [
        ({"sglang:spec_accept_length": 2.7, "sglang:spec_accept_rate": 0.57}, True, "57.0% in /metrics"),
        ({"sglang:spec_accept_length": 1.0, "sglang:spec_accept_rate": 0.0}, False, "0.0% in /metrics"),
        # Before the first 40 decode steps: the log's last line counts.
        ({"sglang:spec_accept_length": 0.0, "sglang:spec_accept_rate": 0.0}, True, "56.0% in the log"),
    ],
)
def test_acceptance_of_sglang_is_in_its_metrics(resolve: Any, metrics: dict[str, float], ok: bool, found: str) -> None:
    plan = resolve("nemotron3-super-sglang")["plan"]
    checks = _gate.evidence_checks(plan, {"facts": {"acceptance_rate": 0.56}}, metrics)
    (rate,) = [item for item in checks if item["name"] == "acceptance rate"]
    assert rate["ok"] is ok
    assert found in rate["found"]


@pytest.mark.parametrize(("tokens", "ok"), [(551076, True), (523523, True), (523522, False), (300000, False), (0, False)])
def test_kv_cache_against_the_report(resolve: Any, tokens: int, ok: bool) -> None:
    plan = resolve("qwen397-mtp2")["plan"]
    (cache, *_rest) = _gate.evidence_checks(plan, {"facts": {"kv_cache_tokens": tokens}}, {})
    assert cache["ok"] is ok


@pytest.mark.parametrize(("tokens", "ok"), [(1, True), (0, False), (None, None)])
def test_kv_cache_without_a_report(record: Any, tokens: Any, ok: bool | None) -> None:
    (cache, drafts) = _gate.evidence_checks(record["plan"], {"facts": {"kv_cache_tokens": tokens}}, {})
    assert (cache["ok"], cache["wanted"]) == (ok, "more than 0 tokens")
    assert (drafts["name"], drafts["ok"]) == ("speculative decoding", True)


@pytest.mark.parametrize(("accepted", "ok"), [(50.0, True), (49.9, False), (None, None)])
def test_acceptance_has_a_floor(record: Any, accepted: Any, ok: bool | None) -> None:
    plan = record["plan"]
    plan["ready"]["speculative"] = {"min_acceptance": 0.5}
    metrics = {"vllm:spec_decode_num_draft_tokens_total": 100.0}
    if accepted is not None:
        metrics["vllm:spec_decode_num_accepted_tokens_total"] = accepted
    rate = _gate.evidence_checks(plan, {}, metrics)[-1]
    assert (rate["name"], rate["ok"], rate["wanted"]) == ("acceptance rate", ok, "at least 50%")


def test_only_answers_are_answers() -> None:
    infos: dict[str, Any] = {"a": None, "b": {}, "c": {"failed": True}, "d": {"containers": []}, "e": {"models": []}}
    assert list(_gate.answered(infos)) == ["d", "e"]


def test_a_server_that_answers_without_a_container_is_judged(record: Record, infos: dict[str, Any], api: Api) -> None:
    infos["gx10-1"]["containers"].clear()
    assert [item["name"] for item in _gate.api_checks(record, infos, api)] == ["health", "model", "listener on 8000", "chat completion"]
    api["health"] = 0
    assert [item["name"] for item in _gate.api_checks(record, infos, api)] == ["API"]
    # Unknown to us, so it is not ours.
    assert _gate.api_checks(record, {}, {**api, "health": 200})[2]["found"] == "nobody"


def test_the_result_says_what_serves_as_whom(record: Record, infos: dict[str, Any], api: Api) -> None:
    result = judge(record, infos, api)
    text = _gate.text(result).splitlines()
    assert text[0] == "sim-tiny-tp2: serving at http://192.168.1.11:8000"
    assert text[1] == f"  {len(result['checks'])} of {len(result['checks'])} checks passed"
    assert "  model   tiny-qwen3" in text and text[-1] == "  answer  'hello'"
    assert not judge(record, {}, None)["boot"] and judge(record, {}, None)["answer"] == ""
    infos["gx10-1"]["image_gone"] = True
    gone = _gate.text(judge(record, infos, api)).splitlines()
    wanted = "  failed: gx10-1: image kept: found gone from Docker; wanted sha256:111111111111. ansible-playbook restore.yml"
    assert gone[1].startswith(wanted)
    assert gone[-1].endswith(f"{len(result['checks'])} of {len(result['checks']) + 1} checks passed")


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 600.0), (5, 600.0), (5.01, 601.2), (10, 1200)])
def test_a_boot_has_twice_its_time_and_ten_minutes_at_least(record: Any, minutes: float, seconds: float) -> None:
    record["plan"]["ready"]["boot_minutes"] = minutes
    part = _engine.part(record["plan"], "gx10-1", IMAGE, "w")
    assert part
    assert part["deadlines"]["engine"] == pytest.approx(seconds)


def test_a_node_gets_its_part(record: Any) -> None:
    plan = record["plan"]
    first, second, idle = (_engine.parts(plan, ["gx10-1", "gx10-2", "gx10-3"], IMAGE, "w")[name] for name in ("gx10-1", "gx10-2", "gx10-3"))
    assert first and second and idle is None
    assert first["engine"] == {**plan["nodes"][0]["engine"], "served_name": "tiny-qwen3"}
    assert (second["engine"], second["rank"], second["role"], second["node"]) == (None, 1, "worker", "gx10-2")
    assert (second["ray"], second["watch"]) == (plan["nodes"][1]["ray"], plan["watch"]["settings"])
    assert second["address"] == "192.168.177.12"
    plan["nodes"][1]["container"]["options"]["network"] = "bridge"
    alone = _engine.part(plan, "gx10-2", IMAGE, "w")
    assert alone
    assert alone["address"] is None
    plan["nodes"][0]["mods"] = [{"name": "m", "hash": "h"}, {"name": "n", "hash": "i"}]
    labels = {key.removeprefix(_engine.LABEL): value for key, value in _engine.labels(plan, second).items()}
    assert labels == {"profile": "sim-tiny-tp2", "plan": plan["hash"], "hash": second["hash"], "rank": "1", "mods": "m@h n@i"}


def test_why_each_node_did_not_start(record: Any, infos: Any) -> None:
    plan = record["plan"]
    worker(infos)["status"].update(phase="ray", reason=None)
    infos["gx10-2"]["log"] = {"tail": ["last words"]}
    wanted = "gx10-2 (rank 1): found phase ray; wanted joined.\n    last words"
    assert _engine.start_problems(plan, infos) == [wanted]
    # One that stays to say why it is down has ended, too.
    head(infos).update(status={"phase": "failed", "reason": "the engine exited with code 2"})
    wanted = "gx10-1 (rank 0): found phase failed; wanted serving. the engine exited with code 2"
    assert _engine.start_problems(plan, infos) == [wanted]
    # Where one has ended, the others have only not come further yet.
    head(infos).update(running=False, exit_code=1, status={})
    wanted = "gx10-1 (rank 0): found exited with code 1 without a word of its supervisor; wanted serving."
    assert _engine.start_problems(plan, infos) == [wanted]
    # What it waited for is no reason of its end.
    head(infos).update(exit_code=137, status={"phase": "waiting", "reason": "for gx10-2"})
    wanted = "gx10-1 (rank 0): found exited with code 137; its last word was waiting; wanted serving."
    assert _engine.start_problems(plan, infos) == [wanted]
    head(infos).update(exit_code=1, status={"phase": "failed", "reason": "no GPU"})
    assert _engine.start_problems(plan, infos) == ["gx10-1 (rank 0): found exited with code 1 in phase failed; wanted serving. no GPU"]
    worker(infos).update(running=False, exit_code=2)
    assert len(_engine.start_problems(plan, infos)) == 2
    for name in ("gx10-1", "gx10-2"):
        infos[name]["containers"].clear()
    assert _engine.start_problems(plan, infos) == [f"gx10-{n} (rank {n - 1}): found no container; wanted sim-tiny-tp2" for n in (1, 2)]


def test_a_listener_is_a_containers_or_dockers_proxy() -> None:
    container: Any = {"id": "c", "ports": [8000]}
    rows = [
        ("c", "vllm", 8000),
        ("d", "docker-proxy", 8000),
        (None, "/usr/bin/docker-proxy", 8000),
        (None, "docker-proxy", 1),
        (None, "x", 8000),
    ]
    listeners: list[Any] = [{"container": where, "command": command, "port": port} for where, command, port in rows]
    assert [_engine.owns(container, listener) for listener in listeners] == [True, False, True, False, False]


def test_a_parts_hash_covers_plan_image_and_weights(record: Any) -> None:
    plan = record["plan"]

    def hash_of(*inputs: Any) -> str:
        part = _engine.part(*inputs)
        assert part
        return str(part["hash"])

    hashes = {
        hash_of(plan, "gx10-1", IMAGE, "sha256:w"),
        hash_of(plan, "gx10-2", IMAGE, "sha256:w"),
        hash_of(plan, "gx10-1", "sha256:other", "sha256:w"),
        hash_of(plan, "gx10-1", IMAGE, "sha256:other"),
        hash_of({**plan, "hash": "x"}, "gx10-1", IMAGE, "sha256:w"),
    }
    assert len(hashes) == 5


def test_a_record_of_another_form_is_named(record: Any, infos: Any) -> None:
    assert _resolve.other_format(record) == ""
    assert "found format 3; wanted 5" in _resolve.other_format({**record, "plan": {**record["plan"], "format": 3}})
    del record["plan"]["nodes"], record["plan"]["ready"]
    text = _resolve.other_format(record)
    assert "of sim-tiny-tp2 has a plan of another release: found format 5 without nodes, ready; wanted 5" in text
    assert "serve.yml -e profile=NAME" in _resolve.other_format({"plan": {}, "image_id": IMAGE})


def test_a_record_without_a_part_of_a_node_fails_the_check(record: Any, infos: Any) -> None:
    del record["parts"]["gx10-2"]
    (line,) = [item for item in _gate.container_checks(record, infos) if item["ok"] is not True]
    assert (line["node"], line["name"], line["wanted"]) == ("gx10-2", "plan hash", "none planned")


def test_why_a_group_did_not_start(record: Any, infos: Any) -> None:
    assert _engine.start_problems(record["plan"], infos) == []
    head(infos).update(running=False, exit_code=1)
    head(infos)["status"].update(phase="failed", reason="the engine exited with code 1")
    infos["gx10-1"]["log"] = {"signs": ["engine core died: EngineDeadError"], "tail": ["last words"]}
    (text,) = _engine.start_problems(record["plan"], infos)
    assert text.startswith("gx10-1 (rank 0): found exited with code 1 in phase failed; wanted serving. the engine exited with code 1")
    assert "EngineDeadError" in text
    assert "last words" in text


def test_a_record_is_asked_where_its_head_says_the_same(record: Any, infos: dict[str, Any]) -> None:
    """Root on one node writes what it wants into its own record: the other nodes do nothing that it says."""
    kept: Any = {"plan": record["plan"], "image_id": IMAGE}
    seen: dict[str, Any] = {name: {**info, "record": kept} for name, info in infos.items()}
    assert _gate.unasked(kept, seen) == ""
    # Its head is off: nobody is asked anyway.
    assert _gate.unasked(kept, {name: seen[name] for name in ("gx10-2", "gx10-3")}) == ""

    url = "file:///etc/shadow#:8000"
    nodes = list(reversed(record["plan"]["nodes"]))
    for change in ({"nodes": nodes}, {"nodes": nodes, "hash": "sha256:" + "0" * 64}, {"ready": {**record["plan"]["ready"], "url": url}}):
        forged: Any = {**kept, "plan": {**record["plan"], **change}}
        for others in (kept, dict[str, Any]()):
            looked: dict[str, Any] = {name: {**infos[name], "record": forged if name == "gx10-1" else others} for name in sorted(infos)}
            assert _gate.served_record(looked) == forged
            head = forged["plan"]["nodes"][0]["name"]
            if head == "gx10-1" or (change.keys() == {"nodes"} and others):
                continue  # its own node, or a head that serves this very plan at this very address
            assert "of which gx10-2 itself has none, or another; wanted the same on both" in _gate.unasked(forged, looked)
