"""What the keys of each document take, in words of this file alone: the schemas are what is tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Document = dict[str, Any]


# What each key takes, in words of this file alone: the schemas are what is tested. (type, values of that type that are wrong all the same)
TEXT, INT, NUMBER, LIST, MAP, NULL = "text", "int", "number", "list", "map", "null"


Keys = Mapping[str, tuple[str, tuple[Any, ...]]]


PROFILE_KEYS: Keys = {
    "summary": (TEXT, ("", "x" * 201)),
    "model": (MAP, ()),
    "model.repo": (TEXT, ("", "x", "../x", "a/b/c", "/a/b", "a/", "a b/c", "-a/b")),
    "model.served_name": (TEXT, ("", "a b", "-a", "a;b")),
    "model.revision": (TEXT + NULL, ("main", "0" * 39, "A" * 40)),
    "model.size_gib": (NUMBER, (0, -1, 1e300)),
    "model.manifest": (TEXT, ("", "sha256:0", "0" * 64)),
    "model.drafts": (LIST, ([1], [{}], [{"repo": "x"}], [{"repo": "a/b", "other": 1}])),
    "image": (TEXT, ("", "nothing", "../vllm-node-sim", "vllm-node-sym")),
    "engine": (TEXT, ("", "VLLM", "vlm", "../_vllm")),
    "executor": (TEXT, ("", "rai", "RAY")),
    "parallel": (MAP, ()),
    "parallel.tensor": (INT, (0, -1, 65, 10**30)),
    "parallel.pipeline": (INT, (0, -1, 65)),
    "parallel.expert": (INT, (0, -1, 65)),
    "container": (MAP, ()),
    "container.name": (TEXT, ("", "A", "a b", "-a", "x" * 64)),
    "container.shm_size": (TEXT, ("", "16", "16G", "0g", "-1g", "1.5g")),
    "container.ipc": (TEXT, ("", "shareable", "HOST")),
    "container.publish": (LIST, ([], ["80"], ["a:b"], ["1:2:3"], [80])),
    "env": (MAP, ({"A B": "1"}, {"": "1"}, {"1A": "1"})),
    "env.OMP_NUM_THREADS": (TEXT, ()),
    "args": (MAP, ({"": 1}, {"A b": 1}, {"--x": 1})),
    "mods": (LIST, ([1], ["nothing"], ["../x"], [""], [None])),
    "limits": (LIST, ([1], [{}], [{"arg": "max-num-seqs"}], [{"because": ""}], [{"because": "x", "other": 1}])),
    "expect": (MAP, ()),
    "expect.boot_minutes": (NUMBER, (0, -1, 1e300)),
    "expect.kv_cache_tokens": (INT, (0, -1, 10**30)),
    "expect.speculative": (MAP, ()),
    "expect.speculative.min_acceptance": (NUMBER, (-0.1, 1.1)),
    "expect.bench": (MAP, ()),
    "probes": (MAP, ()),
    "probes.questions": (LIST, ([], [1], [{"about": "a"}])),
    "probes.min_right": (INT, (0,)),
    "probes.recall": (MAP, ({}, {"lines": 0}, {"lines": 10**9})),
    "probes.tool": (MAP, ({},)),
    "probes.decode": (MAP, ({"max_foreign": 2},)),
    "probes.max_tokens": (INT, (0, 15)),
    "probes.temperature": (NUMBER, (-1, 2.1)),
    "provenance": (MAP, ()),
    "provenance.source": (TEXT, ("",)),
    "provenance.date": (TEXT, ("", "yesterday", "2026-1-1")),
    "provenance.hardware": (TEXT, ("",)),
    "provenance.status": (TEXT, ("", "MEASURED", "refused")),
    "provenance.driver": (TEXT, ("", "x")),
    "warnings": (LIST, ([1], [""])),
}


IMAGE_KEYS: Keys = {
    "summary": (TEXT, ("",)),
    "tag": (TEXT, ("", "a b", "a/b", ".a")),
    "base": (TEXT, ("",)),
    "wheels": (MAP, ({"a.zip": None}, {"../a.whl": None}, {"a.whl": "0"}, {"a.whl": 1})),
    "requirements": (TEXT, ()),
    "expect": (MAP, ()),
    "expect.imports": (LIST, ([1], [None])),
    "expect.torch": (TEXT, ()),
    "expect.cuda": (TEXT + NULL, ()),
    "expect.versions": (MAP, ({"vllm": 1},)),
    "expect.nccl": (TEXT, ()),
    "rebuild": (TEXT, ()),
    "reference": (TEXT, ("",)),
    "size_gib": (NUMBER, (0, -1)),
}


MOD_KEYS: Keys = {
    "summary": (TEXT, ("",)),
    "kind": (TEXT, ("", "other")),
    "provides": (TEXT, ()),
    "args": (LIST, ([1], [{}], [None])),
    "checkpoints": (LIST, ([1],)),
    "required_for": (MAP, ({"a/b": 1},)),
    "engine": (MAP, ({"vllm": 1},)),
    "patches": (LIST, ([1],)),
    "proof": (LIST, ([1], [{}], [{"module": "a"}])),
}


RECIPE: Document = {
    "recipe_version": "1",
    "name": "Tiny",
    "container": "vllm-node",
    "model": "org/tiny",
    "mods": [],
    "env": {"A": "1"},
    "defaults": {"tensor_parallel": 2, "port": 8000, "host": "0.0.0.0", "length": 4096},
    "command": "vllm serve org/tiny --port {port} --host {host} -tp {tensor_parallel} --max-model-len {length}",
}


RECIPE_KEYS: Keys = {
    "name": (TEXT, ("",)),
    "container": (TEXT, ("", "a b")),
    "command": (
        TEXT,
        ("", "serve", "vllm serve", "vllm serve {nothing}", "vllm serve 'x", "vllm serve {port!r:>9999999999}", "vllm serve {0}"),
    ),
    "mods": (LIST, ()),
    "env": (MAP, ()),
    "defaults": (MAP, ()),
}


CONFIG: Document = {
    "architectures": ["Qwen3ForCausalLM"],
    "max_position_embeddings": 4096,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "layer_types": ["full_attention", "full_attention"],
    "text_config": {"num_hidden_layers": 2},
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}


def wrong(random: Random, kind: str) -> Any:
    """A value of another type than `kind`."""
    others: dict[str, Callable[[], Any]] = {
        TEXT: lambda: random.choice(["x", "1", "true"]),
        INT: lambda: random.choice([1, 2, 0, -1]),
        NUMBER: lambda: random.choice([0.5, 1.5, 2.5]),
        LIST: lambda: random.choice([[], ["x"], [[]], [{"a": 1}]]),
        MAP: lambda: random.choice([{}, {"a": 1}, {"x": "y"}]),
        "bool": lambda: random.choice([True, False]),
        NULL: lambda: None,
    }
    right = {TEXT: [TEXT], INT: [INT], NUMBER: [INT, NUMBER], LIST: [LIST], MAP: [MAP], TEXT + NULL: [TEXT, NULL]}[kind]
    return others[random.choice([other for other in others if other not in right])]()


def put(document: Document, path: str, value: Any) -> Document:
    """A copy with one key set; what is above it is made."""
    name, dot, rest = path.partition(".")
    return {**document, name: put(document.get(name, {}), rest, value) if dot else value}


def one_wrong(random: Random, keys: Keys) -> tuple[str, Any]:
    """A key, and a value that it does not take."""
    path = random.choice(list(keys))
    kind, values = keys[path]
    return path, random.choice(values) if values and random.random() < 0.5 else wrong(random, kind)


def paths(document: Any, above: str = "") -> list[str]:
    """All keys of a document."""
    found = []
    for key, value in document.items():
        found.append(f"{above}{key}")
        if isinstance(value, dict) and "." not in key:
            found += paths(value, f"{above}{key}.")
    return found


# Right in type, and as far as the type goes.
EXTREMES: Mapping[str, tuple[Any, ...]] = {
    TEXT: ("x" * 5000, "é" * 99, "{{ 1 }}", "-x", "--x", "$(id)", "a b", "None", "null", "1", "٣", "\u2028", "a'b\"c", "\\", "%s"),
    INT: (1, 2, 3, 16, 64, 10**6, 10**12, 10**18),
    NUMBER: (1e-300, 1e-9, 0.5, 1, 99999.5, 1e15, 1e18),
    LIST: (["x"] * 100, ["x"] * 101, [["x"]], [{"a": 1}] * 99),
    MAP: ({f"k{number}": "1" for number in range(200)}, {"a": {"b": {"c": [1, [2, [3]]]}}}, {"": ""}),
    TEXT + NULL: ("x", None),
}


WORDS = (
    "max-model-len",
    "max_num_seqs",
    "kv-cache-dtype",
    "speculative-config",
    "compilation-config.cudagraph_mode",
    "no-enforce-eager",
    "port",
)


def put_any(document: Document, path: str, value: Any) -> Document:
    """`put`, where the keys themselves may have dots."""
    try:
        return put(document, path, value)
    except (TypeError, AttributeError):
        return document
