"""Texts that no reader of data may take, and others that are as good as noise."""

from __future__ import annotations

import functools
import json
from random import Random
from typing import Any

import yaml

from .keys import CONFIG


def dump(value: Any) -> str:
    """As YAML where that can write it, else as JSON, which our reader takes, too."""
    try:
        text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False) if len(str(value)) < 20_000 else json.dumps(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        text = "summary: [" + "[" * 4000
    return text


def damaged(random: Random, text: str) -> tuple[str, str]:
    """A text that no reader of data may take, and how it was made."""
    long = "x" * 300_000
    return random.choice(
        [
            (text + "\nsummary: again\n", "a key twice"),
            (text + "\nmore: {a: 1, a: 2}\n", "a nested key twice"),
            (text + '\nmore: "a\\u0007b"\n', "an escaped control character"),
            (text + "\nmore: a\x07b\n", "a control character"),
            (text + "\nmore: a\x00b\n", "NUL"),
            (text + "\nmore: a\u202eb\n", "a change of direction"),
            (text + '\nmore: "\\ud800"\n', "a lone surrogate"),
            (text + '\nmore: "a\\nb"\n', "a line break"),
            (text + "\nmore: |\n  a\n  b\n", "a block"),
            (text + "\n\tmore: 1\n", "a tab"),
            (text + "\nmore: &a 1\n", "an anchor"),
            (text + "\nmore: *a\n", "an alias"),
            (text + "\nmore: !!python/object/apply:os.getpid []\n", "a tag"),
            (text + "\n<<: {a: 1}\n", "a merge key"),
            (text + "\n1: x\n", "a number as key"),
            (text + "\n? [a, b]\n: x\n", "a list as key"),
            (text + "\nnull: x\n", "null as key"),
            (text + "\n---\nmore: 1\n", "two documents"),
            (text + "\nmore: " + "[" * 60 + "]" * 60 + "\n", "many levels"),
            (text + "\nmore: " + "[" * 100_000, "very many levels"),
            (text + "\nmore: " + "{a: " * 30_000, "very many mappings"),
            (text + f"\nmore: {long}\n", "a long text"),
            (text + f"\n{long}: 1\n", "a long key"),
            (text + "\n" + "".join(f"k{number}: 1\n" for number in range(20_000)), "very many keys"),
            (text + "\nmore: [" + "1," * 100_000 + "]\n", "a long list"),
            (text + "\nmore: [" + "[]," * 60_000 + "]\n", "a long list of lists"),
            (text + "\nmore: " + "9" * 5000 + "\n", "a long number"),
            (text.encode().decode() + "\nmore: \udcff\n", "bytes that are not UTF-8"),
            ("a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9)), "a bomb of aliases"),
            ("- a\n", "a list"),
            ("", "nothing"),
            ("x", "a word"),
            ("a: [1", "half a document"),
            ("%YAML 9.9\n---\na: 1\n", "another YAML"),
            (text[: len(text) // 2] + "\n  : : :\n" + text[len(text) // 2 :], "broken in the middle"),
        ]
    )


def noise(random: Random) -> str:
    """Bytes, or pieces of YAML."""
    if random.random() < 0.3:
        return random.randbytes(random.randrange(400)).decode("utf-8", "surrogateescape")
    pieces = [
        *"abc:-{}[]&*!|>'\"#%@`\n \t,?~\u202e\ufeff\x00",
        "k: ",
        "- ",
        "!!",
        "---\n",
        "<<: ",
        "summary: ",
        "args:\n",
        "  x: ",
        "1",
        "0.5",
    ]
    return "".join(random.choices(pieces, k=random.choice([5, 40, 400, 4000])))


def as_json(value: Any) -> bytes:
    try:
        return json.dumps(value).encode("utf-8", "surrogateescape")
    except (ValueError, RecursionError):
        return b'{"max_position_embeddings": ' + b"9" * 5000 + b"}"


@functools.cache
def large_index(count: int, letters: int) -> bytes:
    """As of a checkpoint with hundreds of experts in each of its layers."""
    return json.dumps({"weight_map": {f"{number:0{letters}}": f"model-{number % 99:05}.safetensors" for number in range(count)}}).encode()


def bad_json(random: Random) -> tuple[bytes, str]:
    good = json.dumps(CONFIG).encode()
    return random.choice(
        [
            (b"", "nothing"),
            (b"null", "null"),
            (b"[]", "a list"),
            (b'"x"', "a text"),
            (good[:-1], "cut"),
            (good[:-1] + b', "a": ' + b"9" * 5000 + b"}", "a long integer"),
            (good[:-1] + b', "a": ' + b"9" * 400 + b"}", "a big integer"),
            (good[:-1] + b', "hidden_size": 128}', "a key twice"),
            (good[:-1] + b', "a": "\xff"}', "bytes that are not UTF-8"),
            (good[:-1] + b', "a": "\\ud800"}', "a lone surrogate"),
            (good[:-1] + b', "a": "\x07"}', "a control character"),
            (b"[" * 1_000_000, "very many levels"),
            (b'{"a":' * 200_000, "very many mappings"),
            (good[:-1] + b', "a": ' + b"[" * 900 + b"]" * 900 + b"}", "many levels"),
            (b'{"a": [' + b"[]," * 4_000_000 + b"[]]}", "millions of lists"),
            (b'{"a": "' + b"x" * 70_000_000 + b'"}', "a giant text"),
        ]
    )


def repr_safe(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return "x" * 9999
