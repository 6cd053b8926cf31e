"""Acceptance from two answers of /metrics. Names and labels are of the sources that _acceptance.py names."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.bench._acceptance import acceptance, samples
from conftest import ROOT


def vllm(drafts: int, accepted: Sequence[int], engines: int = 1) -> str:
    """stub: the counters of drafts, each of as many tokens as there are positions."""
    lines = ["# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.", "# TYPE vllm:spec_decode_num_drafts_total counter"]
    for engine in range(engines):
        labels = f'engine="{engine}",model_name="a \\"b\\", position=\\"9\\""'
        lines += [
            f"vllm:spec_decode_num_drafts_total{{{labels}}} {drafts}.0",
            f"vllm:spec_decode_num_drafts_created{{{labels}}} 1.7e+09",
            f"vllm:spec_decode_num_draft_tokens_total{{{labels}}} {drafts * len(accepted)}.0",
            f"vllm:spec_decode_num_accepted_tokens_total{{{labels}}} {sum(accepted)}.0",
        ]
        lines += [
            f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{{labels},position="{position}"}} {count}.0'
            for position, count in enumerate(accepted)
        ]
    return "\n".join(lines) + "\n"


def sglang(generated: int, verified: int | None, width: int | None = 4) -> str:
    """stub: what SGLang counts when a request ends, and its gauge of a draft's width."""
    labels = '{model_name="m",engine_type="unified"}'
    lines = [f"sglang:generation_tokens_total{labels} {generated}.0", f"sglang:spec_accept_length{labels} 9.9"]
    lines += [f"sglang:spec_verify_calls_total{labels} {verified}.0"] if verified is not None else []
    lines += [f"sglang:spec_num_draft_tokens{labels} {width}.0"] if width is not None else []
    return "\n".join(lines)


@pytest.mark.parametrize("engines", [1, 2])
def test_the_difference_counts_over_all_engines(engines: int) -> None:
    found = acceptance("vllm", vllm(100, [50, 40], engines), vllm(118, [66, 55], engines))
    assert found["rate"] == pytest.approx(31 / 36)
    assert found["mean_length"] == pytest.approx(1 + 31 / 18)
    assert found["per_position"] == pytest.approx([16 / 18, 15 / 18])
    assert found["why"] == ""


def test_positions_are_in_the_order_of_numbers() -> None:
    found = acceptance("vllm", vllm(0, [0] * 12), vllm(12, list(range(12, 0, -1))))
    assert found["per_position"] == pytest.approx([count / 12 for count in range(12, 0, -1)])


def test_a_drafter_that_is_never_right_has_a_rate() -> None:
    # The Nex report: 1632 drafted, none accepted.
    found = acceptance("vllm", vllm(0, [0, 0]), vllm(816, [0, 0]))
    assert (found["rate"], found["mean_length"], found["per_position"]) == (0.0, 1.0, [0.0, 0.0])


def test_sglang_counts_from_its_first_request_on() -> None:
    # A counter with labels is there from its first count on.
    found = acceptance("sglang", sglang(0, None), sglang(26_700, 10_000))
    assert found["mean_length"] == pytest.approx(2.67)
    assert found["rate"] == pytest.approx(1.67 / 3)
    assert found["per_position"] is None and "positions" in found["why"]
    more = acceptance("sglang", sglang(26_700, 10_000), sglang(54_100, 20_000))
    assert more["mean_length"] == pytest.approx(2.74)


@pytest.mark.parametrize("width", [None, 0, 1])
def test_without_a_width_sglangs_rate_is_unknown(width: int | None) -> None:
    found = acceptance("sglang", sglang(0, 0), sglang(267, 100, width))
    assert found["mean_length"] == 2.67 and found["rate"] is None and "width" in found["why"]
    narrow = acceptance("sglang", sglang(0, 0), sglang(150, 100, 2))
    assert narrow["rate"] == 0.5 and "width" not in narrow["why"]


REAL = (ROOT / "tests/unit/data/metrics-vllm-0.30.0.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("engine", "before", "after", "why"),
    [
        ("vllm", REAL, REAL, "as without speculation"),
        ("vllm", "", vllm(1, [1]), "no metrics of the engine before"),
        ("vllm", vllm(1, [1]), "", "no metrics of the engine after"),
        ("vllm", vllm(100, [50]), vllm(7, [5]), "started again"),
        ("vllm", vllm(7, [5]), vllm(7, [5]), "nothing was drafted"),
        ("vllm", vllm(7, [5]), vllm(9, [6]).replace("accepted_tokens_total", "taken"), "started again"),
        ("sglang", sglang(0, None), sglang(100, None), "as without speculation"),
        ("sglang", sglang(100, 40), sglang(100, 40), "as without speculation"),
        ("llama.cpp", vllm(1, [1]), vllm(2, [2]), "no names"),
    ],
)
def test_what_is_not_said_is_unknown(engine: str, before: str, after: str, why: str) -> None:
    found = acceptance(engine, before, after)
    assert (found["rate"], found["mean_length"], found["per_position"]) == (None, None, None)
    assert why in found["why"]


def test_a_line_that_is_cut_is_no_sample() -> None:
    assert samples('vllm:a{engine="0"} 1.0\nvllm:a{engine="1"} 2.0\nvllm:b 3\nvllm:c{engi\nhttp_x 4') == {
        ("vllm:a", ""): 3.0,
        ("vllm:b", ""): 3.0,
    }
