"""A model's cache as its engine lays it out, against what engines logged: the field reports, and the source that one of them names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _cache, _checkpoint, _shape

GIB = 2**30
QWEN, MINI = "Qwen/Qwen3.5-397B-A17B-FP8", "r0b0tlab/nex-n2-mini-nvfp4"
ULTRA, SUPER = "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"
SERVED = {"max-model-len": 262144, "enable-prefix-caching": True, "kv-cache-dtype": "fp8"}
DRAFTING = {"speculative-algorithm": "EAGLE", "speculative-num-draft-tokens": 4}


def shape(repo: str) -> _shape.Shape:
    checkpoint = _checkpoint.known(repo, None)
    found = _shape.read(checkpoint["config"]) if checkpoint else None
    assert found
    return found


def blocks(repo: str, tensor: int = 4, tokens: int = 0, method: str = "mtp", **args: Any) -> _cache.Blocks:
    given = {**SERVED, **{key.replace("_", "-"): value for key, value in args.items()}}
    if tokens:
        given["speculative-config"] = {"method": method, "num_speculative_tokens": tokens}
    found = _cache.blocks(shape(repo), given, tensor)
    assert found
    return found


@pytest.mark.parametrize(("tokens", "gib", "logged"), [(0, 6.38, 844024), (2, 4.47, 530028)])
def test_the_reports_memory_gives_the_tokens_of_their_logs(tokens: int, gib: float, logged: int) -> None:
    assert blocks(QWEN, tokens=tokens).capacity(gib * GIB) == logged


def test_a_block_is_as_large_as_a_state() -> None:
    # The model card's least batch (Mamba block alignment).
    assert blocks(MINI, 1).tokens == 2096
    # Two more rows of the convolution, one for each drafted token.
    assert [blocks(QWEN, tokens=tokens).tokens for tokens in (0, 2)] == [2096, 2112]
    # Half a state's size, or numbers twice as large.
    assert blocks(QWEN, mamba_ssm_cache_dtype="bfloat16").tokens == 1072
    assert blocks(QWEN, kv_cache_dtype="auto").tokens == 1056
    # NemotronH's kernels go in steps of 128, and a remainder of 16 is one more.
    assert blocks(ULTRA, tokens=3, mamba_ssm_cache_dtype="float16").tokens == 4352


@pytest.mark.parametrize(
    ("repo", "args", "tokens", "request_blocks"),
    [
        # 126 blocks of 2096 tokens in one group of 15 layers; three of 15 recurrent layers with two, one, or 126 states.
        *[
            (QWEN, {}, 0, 126 + 3 * 2),
            (QWEN, {"enable_prefix_caching": False}, 0, 126 + 3),
            (QWEN, {"mamba_cache_mode": "all"}, 0, 64 * 4),
        ],
        # A drafter's layer is a sixteenth; each drafted token keeps one state more.
        *[(QWEN, {}, 2, 125 + 3 * 4), (QWEN, {"mamba_cache_mode": "align"}, 0, 132)],
        *[(ULTRA, {}, 0, 32 * 5), (ULTRA, {"mamba_cache_mode": "align"}, 0, 32 + 4 * 2)],
    ],
)
def test_what_a_request_takes(repo: str, args: Any, tokens: int, request_blocks: int) -> None:
    assert blocks(repo, tokens=tokens, **args).request == request_blocks


@pytest.mark.parametrize(
    ("attention", "recurrent", "group", "groups"),
    # Hardly more of one kind: padded to the larger; else split by the smaller.
    [(4, 5, 5, (1, 1)), (4, 6, 4, (1, 2)), (6, 4, 4, (2, 1)), (5, 4, 5, (1, 1)), (4, 4, 4, (1, 1)), (2, 5, 2, (1, 3))],
)
def test_layers_are_grouped(attention: int, recurrent: int, group: int, groups: tuple[int, int]) -> None:
    state = _shape.Recurrent(recurrent, channels=16, groups=(0, 0), taps=3, state=1024, state_bytes=2, chunk=16)
    found = _cache.blocks(_shape.Shape(attention, 0, (1, 8), 0, state, None, 320, ""), {}, 1)
    assert found
    # 96 bytes of convolution and 2048 of state in tokens of 32 bytes: 67, so 80.
    assert (found.tokens, found.bytes) == (80, 80 * 32 * group)
    assert found.request == groups[0] * 4 + groups[1]


def test_a_model_without_states_has_blocks_of_sixteen() -> None:
    plain = _shape.Shape(2, 1, (4, 64), 0, None, None, None, "")
    found = _cache.blocks(plain, {"max-model-len": 33}, 2)
    assert found == _cache.Blocks(16, 16 * 512 * 2, 3, 33)
    assert [found.capacity(memory) for memory in (-1, 0, 3 * found.bytes - 1, 3 * found.bytes)] == [0, 0, 22, 33]
    # A drafter of the model's own has its keys and values in the same blocks.
    for method, layers in (("mtp", 3), ("eagle", 2)):
        args = {"speculative-config": {"method": method, "num_speculative_tokens": 1}}
        assert _cache.blocks(plain, args, 2) == _cache.Blocks(16, 16 * 512 * layers, 1, 16)
    assert _cache.blocks(_shape.Shape(0, 0, (1, 1), 0, None, None, None, ""), {}, 1) is None
    state = _shape.Recurrent(1, 1, (0, 0), 1, 1, 1, 1)
    assert _cache.blocks(_shape.Shape(1, 0, (1, 1), 0, state, None, None, ""), {}, 1) is None


def test_the_pools_of_sglang_are_those_of_its_logs() -> None:
    held = {"kv-cache-dtype": "fp8_e4m3", "max-mamba-cache-size": 96}
    alone, drafting = (_cache.pools(shape(SUPER), {**held, **more}, 4, 0.0) for more in ({}, DRAFTING))
    assert (alone.requests, drafting.requests) == (32, 19)
    # Of the report's named source: 3.80 GB, and 3.01 for drafts; 16.58 million tokens in 31.62 GB.
    assert alone.states / GIB == pytest.approx(3.80, abs=0.01)
    assert (drafting.states - alone.states) / GIB == pytest.approx(3.01, abs=0.01)
    assert alone.token * 16.58e6 / GIB == pytest.approx(31.62, abs=0.01)
    assert drafting.token == alone.token // 8 * 9
    # 48 slots and one that is always there: 4.59 GB, and 0.06 of convolutions.
    ultra = _cache.pools(shape(ULTRA), {**held, "max-mamba-cache-size": 49}, 4, 0.0)
    assert ultra.states / GIB == pytest.approx(4.59 + 0.06, abs=0.01)
    assert ultra.token * 774547 / GIB == pytest.approx(2.22, abs=0.01)


@pytest.mark.parametrize(
    ("args", "slots", "requests"),
    [
        *[({}, 96, 32), ({"disable-radix-cache": True}, 96, 96), ({"max-running-requests": 8}, 96, 8)],
        *[(DRAFTING, 96, 19), (DRAFTING, 480, 48), ({**DRAFTING, "max-running-requests": 60}, 480, 60)],
        # What a flag says wins; without either, 0.9 of 1.9 parts of the memory: 1000 states here.
        *[({"max-mamba-cache-size": 30}, 96, 10), ({}, 0, 157), ({"mamba-full-memory-ratio": 1.0}, 0, 166), (DRAFTING, 0, 48)],
    ],
)
def test_slots_allow_requests(args: Any, slots: int, requests: int) -> None:
    state = 40 * 1063936
    assert shape(SUPER).recurrent.bytes(4, 4, 0) * 40 == state  # type: ignore[union-attr]
    assert _cache.pools(shape(SUPER), args, 4, 1000.0 * state, slots).requests == requests


def test_a_model_without_states_has_no_pool_of_them() -> None:
    plain = _shape.Shape(2, 0, (4, 64), 0, None, None, None, "")
    assert _cache.pools(plain, {}, 1, 1e9, 96) == _cache.Pools(0, 0, 0.0, 2 * 4 * 64 * 2 * 2)


@pytest.mark.parametrize(
    ("args", "found"),
    [
        *[
            ({}, (0, False)),
            ({"speculative-config": "x"}, (0, False)),
            ({"speculative-config": {"num_speculative_tokens": True}}, (0, False)),
        ],
        ({"speculative-config": {"method": "qwen3_next_mtp", "num_speculative_tokens": 2}}, (2, True)),
        (DRAFTING, (4, True)),
        ({"speculative-config": {"method": "eagle", "num_speculative_tokens": 1}}, (1, False)),
        ({**DRAFTING, "speculative-draft-model-path": "/m"}, (4, False)),
    ],
)
def test_what_is_drafted(args: Any, found: tuple[int, bool]) -> None:
    assert _cache.drafted(args) == found
