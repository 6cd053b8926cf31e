"""Profiles, overrides, images, mods, recipes, checkpoints and files that are wrong in one known way, or in any way."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml

from . import case as entry
from .case import Case
from .entries import checkpoint, convert, parsed, profile, table, with_image, with_mod, with_profile
from .files import file_case
from .keys import CONFIG, EXTREMES, IMAGE_KEYS, MOD_KEYS, PROFILE_KEYS, RECIPE, RECIPE_KEYS, WORDS, Document, one_wrong, paths, put, put_any
from .texts import as_json, bad_json, damaged, dump, large_index, noise, repr_safe


def pointed(random: Random) -> Case:
    """A typo at the top of a profile, and where it belongs."""
    word, value, says = random.choice(
        [
            *((word, 4, "parallel.tensor") for word in ("tp", "tensor_parallel", "tensor_parallel_size", "tensor-parallel-size")),
            *((word, 2, "parallel.pipeline") for word in ("pp", "pipeline-parallel-size", "pipeline_parallel_size")),
            ("ep", 2, "parallel.expert"),
            ("max-num-seqs", 4, "args.max-num-seqs"),
            ("max_num_seqs", 4, "args.max-num-seqs"),
            ("gpu-memory-utilization", 0.9, "args.gpu-memory-utilization"),
            ("max_model_len", 4096, "args.max-model-len"),
            ("enforce-eager", True, "args.enforce-eager"),
            ("served-model-name", "x", "model.served_name"),
            ("served_name", "x", "model.served_name"),
            ("repo", "a/b", "model.repo"),
            ("shm_size", "1g", "container.shm_size"),
            ("OMP_NUM_THREADS", "1", "env.OMP_NUM_THREADS"),
            ("sumary", "x", "summary"),
        ]
    )
    if random.random() < 0.5:
        return Case("words", lambda _folder: entry.plan(with_profile(dump({**profile(), word: value}))), "refuse", says, word)
    return Case("words", lambda _folder: entry.plan(entry.read(), override={word: value}), "refuse", says, f"override {word}")


def extreme_case(random: Random) -> Case:
    """Any of the collection's profiles, some of its keys pushed as far as their types go; flags, limits and variables too."""
    name = random.choice(sorted(entry.read(None)["profiles"]))
    changed: Document = parsed(name)
    for _ in range(random.randrange(1, 5)):
        kind = random.randrange(5)
        if kind < 2:
            path = random.choice(list(PROFILE_KEYS))
            changed = put_any(changed, path, random.choice(EXTREMES[PROFILE_KEYS[path][0]]))
        elif kind == 2:
            args = changed.get("args")
            key = random.choice([*WORDS, *(args if isinstance(args, dict) else ())])
            if isinstance(args, dict):
                changed = {**changed, "args": {**args, key: entry.value(random, 2)}}
        elif kind == 3:
            limit = {
                random.choice(["arg", "env"]): random.choice([*WORDS, "A"]),
                random.choice(["max", "min", "equals"]): entry.value(random, 1),
            }
            changed = {**changed, "limits": [{**limit, "because": "x"}]}
        else:
            key = random.choice(["VLLM_LOGGING_LEVEL", "NCCL_DEBUG", "NCCL_X", "VLLM_X", "LD_PRELOAD", "A"])
            changed = put_any(changed, f"env.{key}", entry.text(random))
    if random.random() < 0.5:
        return Case("profile: extremes", lambda _folder: entry.plan(with_profile(dump(changed)), accept_untested=True), about=name)
    given = {key: item for key, item in changed.items() if item != parsed(name).get(key)}
    about = repr_safe(given)[:200]
    return Case("override: extremes", lambda _folder: entry.plan(entry.read(name), override=given, accept_untested=True), about=about)


def slow_case(random: Random) -> Case:
    """A text within its bounds that takes a reader as long as it can."""
    piece = random.choice(
        [
            "a: [",
            "[],",
            "{},",
            "{a: ",
            "- ",
            "? ",
            ": ",
            "'",
            '"',
            "a",
            " ",
            "\n",
            "#",
            "&a ",
            "!a ",
            "%",
            "|\n",
            ">\n",
            "- - - ",
            "a: b\n",
            "\\",
            "''",
            "\r\n",
            "...",
        ]
    )
    around = random.choice([("", ""), ("a: ", ""), ("a: '", "'"), ('a: "', '"'), ("a: [", "]"), ("a: |\n ", ""), ("a: >\n", "")])
    size = random.choice([60_000, 65_000]) // len(piece)
    text = around[0] + piece * size + around[1]
    if random.random() < 0.3:
        command = f"vllm serve org/tiny {text}"
        return Case("slow texts", lambda _folder: convert(dump({**RECIPE, "command": command})), about=f"recipe {around} {piece!r}")
    if random.random() < 0.2:
        return Case(
            "slow texts",
            lambda _folder: convert(f"name: x\ncontainer: y\ncommand: |\n  vllm serve\n{text}"),
            about=f"block {around} {piece!r}",
        )
    return Case("slow texts", lambda _folder: entry.plan(with_profile(text)), about=f"{around} {piece!r}")


# Where a text is looked into by an expression.
SLOW_PLACES = (
    *("env.A", "env.PYTORCH_CUDA_ALLOC_CONF", "env.VLLM_LOGGING_LEVEL", "env.NCCL_DEBUG", "args.x-y", "args.max-model-len", "args.seed"),
    *("args.compilation-config", "args.attention-config", "args.kv-transfer-config", "args.hf-overrides", "args.limit-mm-per-prompt"),
    *("args.chat-template", "args.otlp-traces-endpoint", "args.quantization", "args.override-generation-config", "model.repo", "image"),
    *("container.shm_size", "model.served_name", "summary"),
)
SLOW_SETTINGS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    *(("gx10_env", lambda text: {"A": text}), ("gx10_env", lambda text: {"NCCL_IB_HCA": text})),
    *[
        ("gx10_container_options", make)
        for make in (
            *(lambda text: {"devices": [text]}, lambda text: {"ulimits": [text]}),
            *(lambda text: {"cap_add": [text]}, lambda text: {"runtime": text}),
        )
    ],
    ("gx10_weights_sources", lambda text: {text: "/x"}),
    *((key, lambda text: text) for key in ("gx10_hub_endpoint", "gx10_models_root", "gx10_fabric_address", "gx10_management_address")),
)  # fmt: skip


def slow_value_case(random: Random) -> Case:
    """A text at the place of a value, on which an expression may go back and forth: much of one piece, after what a match begins with."""
    piece = random.choice([*("a", ":", "1", "_", "-", "/", ".", "0.", "a.", '\\"', "\\", "[", "{", "://", '{"a":', ",", " ", "=")])
    size = random.choice([20_000, 60_000]) // len(piece)
    body = "".join(map(chr, range(0x4E00, 0x4E00 + 14_000))) if random.random() < 0.1 else piece * size
    around = random.choice(
        [("", ""), ("://", ""), ("://a", "x"), ("{", "}"), ('{"a": "', '"}'), ("/dev/x:/dev/x:", ""), ("1", "x"), ("a/", "")]
    )
    text = around[0] + body + around[1]
    if random.random() < 0.3:
        key, make = random.choice(SLOW_SETTINGS)
        hosts = {name: {**host, key: make(text)} for name, host in entry.HOSTVARS.items()}
        return Case("slow texts", lambda _folder: entry.plan(entry.read(), hosts), about=f"{key} {around} {piece!r}")
    place = random.choice(SLOW_PLACES)
    changed = dump(put(profile(), place, text))
    return Case("slow texts", lambda _folder: entry.plan(with_profile(changed)), about=f"{place} {around} {piece!r}")


def crowded_case(random: Random) -> Case:
    """As many wrong keys as a document may have: each must be told, and nobody may wait for it."""
    count = random.choice([60, 200, 201, 2400])
    word = random.choice(["x", "max-num-seq", "gpu-memory-utilisation", "Z" * 90, "VLLM_LOGGING_LEVL"])
    many: Document = {f"{word}{number}": random.choice(["x", 1]) for number in range(count)}
    where = random.choice(["args", "env", "top", "limits", "model", "bench"])
    changed = {
        "args": lambda: {**profile(), "args": many},
        "env": lambda: {**profile(), "env": {key.replace("-", "_"): str(value) for key, value in many.items()}},
        "top": lambda: {**profile(), **many},
        "limits": lambda: {**profile(), "limits": [{"arg": key.lower(), "max": 1, "because": "x"} for key in many]},
        "model": lambda: {**profile(), "model": many},
        "bench": lambda: put(profile(), "expect.bench", many),
    }[where]()
    oracle: Any = "any" if where == "bench" or (where == "env" and count <= 200) else "refuse"
    if random.random() < 0.5:
        return Case("crowds", lambda _folder: entry.plan(entry.read(), override=changed), oracle, about=f"override {count} {where} {word}")
    return Case("crowds", lambda _folder: entry.plan(with_profile(json.dumps(changed))), oracle, about=f"{count} {where} {word}")


def profile_case(random: Random) -> Case:
    kind = random.randrange(5)
    if kind == 0:
        path, bad = one_wrong(random, PROFILE_KEYS)
        return Case(
            "profile: wrong value",
            lambda _folder: entry.plan(with_profile(dump(put(profile(), path, bad)))),
            "refuse",
            about=f"{path}: {bad!r}",
        )
    if kind == 1:
        above = random.choice(["", "model.", "parallel.", "container.", "expect.", "provenance.", "probes.", "expect.speculative."])
        word = random.choice(["x", "tensr", "nmae", "repos", "Model", "a b", "é", "x" * 500, "statuss"])
        text = dump(put(profile(), above + word, 1))
        return Case("profile: unknown key", lambda _folder: entry.plan(with_profile(text)), "refuse", about=above + word)
    if kind == 2:
        text, about = damaged(random, dump(profile()))
        return Case("profile: damaged text", lambda _folder: entry.plan(with_profile(text)), "refuse", about=about)
    if kind == 3:
        changed = profile()
        for _ in range(random.randrange(1, 4)):
            changed = put_any(changed, random.choice(paths(changed)), entry.value(random))
        return Case(
            "profile: any value",
            lambda _folder: entry.plan(with_profile(dump(changed))),
            about=str(changed)[:300] if len(repr_safe(changed)) < 9999 else "",
        )
    text = noise(random)
    return Case("profile: any text", lambda _folder: entry.plan(with_profile(text)), about=text[:200])


def override_case(random: Random) -> Case:
    kind = random.randrange(3)
    if kind == 0:
        path, bad = one_wrong(random, PROFILE_KEYS)
        given = put({}, path, bad)
        # Null removes a key; a mapping is merged.
        oracle: Any = "any" if bad is None or isinstance(bad, dict) else "refuse"
        return Case("override: wrong value", lambda _folder: entry.plan(entry.read(), override=given), oracle, about=f"{path}: {bad!r}")
    if kind == 1:
        odd: Any = random.choice(
            [
                *(
                    [],
                    "x",
                    1,
                    True,
                    1.5,
                    [1],
                    {"x": 1},
                    {1: 2},
                    {None: 1},
                    {"summary": "a\nb"},
                    {"summary": "a\x00"},
                    {"env": {"A": "a\x1bb"}},
                ),
                *(
                    {"env": {"A\n": "1"}},
                    {"env": {2: "1"}},
                    {"args": {"max-num-seqs": float("nan")}},
                    {"expect": {"bench": entry.nested(5000)}},
                ),
                *(
                    {"expect": {"bench": {"x": 10**5000}}},
                    {"expect": {"bench": {"x": float("inf")}}},
                    {"expect": {"bench": {"x": ["x"] * 99_999}}},
                ),
                *(
                    {"summary": "\ud800"},
                    {"expect": {"bench": {"x": {1, 2}}}},
                    {"expect": {"bench": {"x": b"x"}}},
                    {"expect": {"bench": {"x": object()}}},
                ),
                *({"x" * 99_999: 1}, {f"x{number}": number for number in range(50_000)}),
            ]
        )
        oracle = "any" if odd == [] else "refuse"
        return Case("override: no data", lambda _folder: entry.plan(entry.read(), override=odd), oracle, about=repr_safe(odd)[:200])
    given = {}
    for _ in range(random.randrange(1, 4)):
        given = put_any(given, random.choice(list(PROFILE_KEYS)), entry.value(random))
    return Case("override: any value", lambda _folder: entry.plan(entry.read(), override=given), about=repr_safe(given)[:300])


def definition_case(random: Random) -> Case:
    """An image's or mod's definition: the one that is used, or another."""
    what = random.choice(["image", "mod"])
    used = random.random() < 0.6
    good: Document = yaml.safe_load(entry.read()["images"]["vllm-node-sim"]["text"]) if what == "image" else {"summary": "x"}
    kind, about, oracle = random.randrange(4), "", "refuse"
    if kind == 0:
        path, bad = one_wrong(random, IMAGE_KEYS if what == "image" else MOD_KEYS)
        text, about = dump(put(good, path, bad)), f"{path}: {bad!r}"
    elif kind == 1:
        word = random.choice(["x", "sumary", "expects", "é"])
        text, about = dump({**good, word: 1}), word
    elif kind == 2:
        text, about = damaged(random, dump(good))
    else:
        text = noise(random) if random.random() < 0.5 else dump(put_any(good, random.choice(paths(good)), entry.value(random)))
        oracle = "any"
    name = {"image": "vllm-node-sim", "mod": "own"}[what] if used else "another"

    def run(_folder: Path) -> list[str]:
        return entry.plan(with_image(name, text) if what == "image" else with_mod(name, text, used))

    expected: Any = oracle if used else "accept"
    return Case(f"{what}: {'used' if used else 'another'}", run, expected, about=about)


def table_case(random: Random) -> Case:
    kind = random.randrange(3)
    if kind == 0:
        text, _about = damaged(random, dump(profile()))
    elif kind == 1:
        text = noise(random)
    else:
        changed = copy.deepcopy(profile())
        changed.setdefault("expect", {})["bench"] = {
            "concurrency": [{"decode_tps": entry.value(random), "requests": entry.value(random)} for _ in range(3)]
        }
        if random.random() < 0.7:
            changed = put_any(changed, random.choice(paths(changed)), entry.value(random))
        text = dump(changed)
    return Case("list of profiles", lambda _folder: table({"broken": text, "good": dump(profile())}), about=text[:200])


def recipe_case(random: Random) -> Case:
    kind = random.randrange(5)
    if kind == 0:
        path, bad = one_wrong(random, RECIPE_KEYS)
        oracle: Any = "any" if bad is None and path in ("mods", "env", "defaults") else "refuse"
        return Case("recipe: wrong value", lambda _folder: convert(dump(put(RECIPE, path, bad))), oracle, about=f"{path}: {bad!r}")
    if kind == 1:
        text, about = damaged(random, dump(RECIPE))
        known = about not in ("a block", "a number as key", "two documents", "a merge key", "a key twice", "a long number")
        return Case("recipe: damaged text", lambda _folder: convert(text), "refuse" if known else "any", about=about)
    if kind == 2:
        text = dump(put_any(RECIPE, random.choice(paths(RECIPE)), entry.value(random)))
        return Case("recipe: any value", lambda _folder: convert(text), about=text[:200])
    if kind == 3:
        words = [
            random.choice(
                [
                    "-tp",
                    "--x",
                    "--x=1",
                    "-",
                    "--",
                    "--no-x",
                    "{port}",
                    "{{",
                    "}}",
                    "9" * 5000,
                    "[" * 3000,
                    "NaN",
                    '{"a": 1}',
                    "'a b'",
                    "--port",
                    "\\",
                    entry.text(random),
                ]
            )
            for _ in range(random.choice([3, 30, 3000]))
        ]
        text = dump(put(RECIPE, "command", "vllm serve org/tiny " + " ".join(words)))
        return Case("recipe: any command", lambda _folder: convert(text), about=text[:300])
    text = noise(random)
    return Case("recipe: any text", lambda _folder: convert(text), about=text[:200])


def checkpoint_case(random: Random) -> Case:
    kind = random.randrange(4)
    if kind == 0:
        raw, about = bad_json(random)
        return Case("config.json: damaged", lambda folder: checkpoint(folder, raw, None), "refuse", about=about)
    if kind == 1:
        raw, about = bad_json(random)
        return Case("index: damaged", lambda folder: checkpoint(folder, as_json(CONFIG), raw), "refuse", about=about)
    if kind == 2:
        raw = as_json(put_any(CONFIG, random.choice(paths(CONFIG)), entry.value(random)))
        return Case("config.json: any value", lambda folder: checkpoint(folder, raw, None), about=raw[:300].decode(errors="replace"))
    if random.random() < 0.1:
        count, letters = random.choice([(200_000, 120), (290_000, 100), (299_000, 60)])
        large = large_index(count, letters)
        about = f"{count} names, {len(large)} bytes"
        return Case("index: large", lambda folder: checkpoint(folder, as_json(CONFIG), large), "accept", about=about)
    index = as_json({"weight_map": {"a": "b", "c": entry.value(random)}} if random.random() < 0.5 else {"weight_map": entry.value(random)})
    return Case("index: any value", lambda folder: checkpoint(folder, as_json(CONFIG), index), about=index[:300].decode(errors="replace"))


MAKERS = (
    extreme_case,
    extreme_case,
    slow_case,
    slow_value_case,
    crowded_case,
    profile_case,
    profile_case,
    override_case,
    definition_case,
    definition_case,
    table_case,
    recipe_case,
    checkpoint_case,
    file_case,
    pointed,
)


def cases(random: Random) -> Iterator[Case]:
    while True:
        yield random.choice(MAKERS)(random)
