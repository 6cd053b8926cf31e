"""A user's own profile of a checkpoint hears of the limits that the collection's profiles of it have; its own word is the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from conftest import ROOT, hostvars

ULTRA, QWEN, SUPER = "nemotron3-ultra", "qwen397-mtp2", "nemotron3-super-sglang"
SAME = "of the same checkpoint has"
WORD = "An entry of your own in limits says otherwise."


def sources(folder: Path, shipped: str, args: dict[str, Any], **keys: Any) -> Any:
    """A user's copy of a shipped profile as `mine`, without limits but the one that lifting the context asks for."""
    profile = yaml.safe_load((ROOT / f"model_profiles/{shipped}.yml").read_text())
    limits = [limit for limit in profile.get("limits", []) if limit.get("arg") == "context-length"]
    changed = {**profile, "limits": limits, **keys, "args": {**profile["args"], **args}}
    (folder / "mine.yml").write_text(json.dumps(changed, default=str))
    return _sources.read("mine", [str(folder)])


def resolve(found: Any, **more: Any) -> _resolve.Resolved:
    variables = hostvars(8)
    return _resolve.resolve(found, variables, list(variables), **more)


def said(found: Any, **more: Any) -> list[str]:
    """What the plan says of other profiles' limits."""
    done = resolve(found, **more)
    assert done["plan"] is not None, done["message"]
    return [text for text in done["plan"]["warnings"] if WORD in text]


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "model_profiles").glob("*.yml")])
def test_a_copy_that_runs_as_shipped_hears_nothing(name: str, tmp_path: Path) -> None:
    profile = yaml.safe_load((ROOT / f"model_profiles/{name}.yml").read_text())
    if profile["provenance"]["status"] == "measured":
        assert said(sources(tmp_path, name, {})) == []


FUSED = {"pass_config": {"fuse_allreduce_rms": True}}
MTP5 = {"method": "qwen3_next_mtp", "num_speculative_tokens": 5}


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        (ULTRA, {"gpu-memory-utilization-gb": 110}, f"found 110; the collection's nemotron3-ultra {SAME} at most 108. Reason: 110 boots"),
        (ULTRA, {"gpu-memory-utilization-gb": 108.5}, f"found 108.5; the collection's nemotron3-ultra {SAME} at most 108."),
        (ULTRA, {"max-num-batched-tokens": "16K"}, f"found 16384; the collection's nemotron3-ultra {SAME} at most 8192. Reason: 16384 ran"),
        (ULTRA, {"compilation-config": FUSED}, f"found True; the collection's nemotron3-ultra {SAME} False"),
        (QWEN, {"speculative-config": MTP5}, f"found 5; the collection's qwen397-mtp2 {SAME} at most 2. Reason: 5 crashed all ranks"),
        (SUPER, {"speculative-num-steps": 5}, f"found 5; the collection's nemotron3-super-sglang and 1 more {SAME} at most 3."),
    ],
)  # fmt: skip
def test_what_ran_out_of_memory_or_crashed_is_told(name: str, args: dict[str, Any], words: str, tmp_path: Path) -> None:
    (text,) = said(sources(tmp_path, name, args))
    assert words in text and len(text) <= 500


def test_what_no_machine_survives_is_refused_all_the_same(tmp_path: Path) -> None:
    (problem,) = resolve(sources(tmp_path, QWEN, {"gpu-memory-utilization": 0.92}))["problems"]
    assert "found 0.92; wanted more than 0 and at most 0.90" in problem
    (problem,) = resolve(sources(tmp_path, ULTRA, {"gpu-memory-utilization-gb": 110.5}))["problems"]
    assert "110 is the firm cap" in problem
    # What its arithmetic can tell: 82.25 GiB of weights per rank, and the drafter's states.
    found = resolve(sources(tmp_path, ULTRA, {"gpu-memory-utilization-gb": 82}))["problems"]
    assert any("[out-of-memory]" in problem for problem in found), found


def test_its_own_word_in_the_same_direction_is_the_last(tmp_path: Path) -> None:
    def own(**limit: Any) -> list[str]:
        limits = [{"arg": "gpu_memory_utilization_gb", "because": "measured here", **limit}]
        return said(sources(tmp_path, ULTRA, {"gpu-memory-utilization-gb": 110}, limits=limits))

    assert own(max=110) == own(equals=110) == []
    # That it wants enough says nothing of too much.
    assert len(own(min=105)) == 1
    env = [{"env": "PYTORCH_CUDA_ALLOC_CONF", "equals": "expandable_segments:False", "because": "x"}]
    loud = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    assert said(sources(tmp_path, ULTRA, {}, env=loud, limits=env)) == []
    (text,) = said(sources(tmp_path, ULTRA, {}, env=loud))
    assert text.startswith("env.PYTORCH_CUDA_ALLOC_CONF: found 'expandable_segments:False'; the collection's nemotron3-ultra")
    # And refuses as that of any profile.
    limits = [{"arg": "gpu-memory-utilization-gb", "max": 109, "because": "measured here"}]
    (problem,) = resolve(sources(tmp_path, ULTRA, {"gpu-memory-utilization-gb": 110}, limits=limits))["problems"]
    assert "found 110; wanted at most 109. Reason: measured here" in problem


def test_a_launch_of_an_own_profile_hears_it_too(tmp_path: Path) -> None:
    assert len(said(sources(tmp_path, ULTRA, {}), override={"args": {"max-num-seqs": 7}})) == 1
    # Through a share, or by a default of the engine's.
    assert len(said(sources(tmp_path, ULTRA, {"gpu-memory-utilization-gb": 1}), override={"args": {"gpu-memory-utilization-gb": 100}})) == 1
    assert len(said(sources(tmp_path, ULTRA, {}), override={"args": {"max-num-seqs": None}})) == 1


def test_what_a_rank_holds_is_another_split_s_own(tmp_path: Path) -> None:
    done = resolve(sources(tmp_path, ULTRA, {"max-num-seqs": 12, "max-model-len": 300000}, parallel={"tensor": 8, "expert": 8}))
    assert done["plan"] is None and all("262144" in problem for problem in done["problems"])
    found = sources(tmp_path, ULTRA, {"max-num-seqs": 12, "reasoning-parser": "qwen3"}, parallel={"tensor": 8, "expert": 8})
    (text,) = said(found)
    assert "args.reasoning-parser" in text
    plan = resolve(found)["plan"]
    assert plan is not None and [text for text in plan["skipped"] if text.startswith("limits of")] == [
        "limits of nemotron3-ultra: max-num-seqs, which it knows for tensor 4 x pipeline 1 x expert 4 alone"
        " (this one: tensor 8 x pipeline 1 x expert 8)"
    ]


def test_only_of_the_same_checkpoint_and_engine(tmp_path: Path) -> None:
    found = sources(tmp_path, ULTRA, {"max-num-seqs": 12})
    assert len(said(found)) == 1
    other = {name: {**text, "text": text["text"].replace("engine: vllm", "engine: sglang")} for name, text in found["shipped"].items()}
    assert said({**found, "shipped": other}) == []
    other = {name: {**text, "text": text["text"].replace("-NVFP4", "-NVFP4-mine")} for name, text in found["shipped"].items()}
    assert said({**found, "shipped": other}) == []
    # A broken one is its own affair.
    broken = {name: {**text, "text": text["text"] + "\n  x: ["} for name, text in found["shipped"].items()}
    assert said({**found, "shipped": broken}) == []


def test_the_collections_own_are_not_held_to_each_other(tmp_path: Path) -> None:
    assert _sources.read("qwen397-mtp3")["shipped"] == {}
    (tmp_path / "same.yml").symlink_to(ROOT / "model_profiles/qwen397-mtp3.yml")
    assert _sources.read("same", [str(tmp_path)])["shipped"] == {}
    assert _sources.read("nobody")["shipped"] == _sources.read(None)["shipped"] == {}
    # A file that hides a shipped one of its name is the user's.
    (tmp_path / f"{ULTRA}.yml").write_text((ROOT / f"model_profiles/{ULTRA}.yml").read_text())
    assert ULTRA in _sources.read(ULTRA, [str(tmp_path)])["shipped"]
