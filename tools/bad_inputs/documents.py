"""Profiles, overrides, images, mods, recipes, checkpoints and files of every kind that are wrong in one known way, or in any way."""

from __future__ import annotations

import copy
import functools
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _catalogue, _recipe, _sources

from . import case as entry
from .case import Case

Document = dict[str, Any]
REPO = "gx10/sim-tiny"
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


@functools.cache
def profile() -> Document:
    found: Document = yaml.safe_load(entry.read()["profile"]["text"])
    found["provenance"]["date"] = str(found["provenance"]["date"])
    return found


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


def with_profile(text: str) -> Mapping[str, Any]:
    return {**entry.read(), "profile": {"name": "test", "path": "test.yml", "text": text}}


def with_image(name: str, text: str) -> Mapping[str, Any]:
    images = {**entry.read()["images"], name: {"path": f"files/images/{name}/image.yml", "text": text}}
    return {**entry.read(), "images": images}


def with_mod(name: str, text: str, used: bool) -> Mapping[str, Any]:
    mod = {"path": f"files/mods/{name}", "hash": "sha256:0", "ready": True, "about": {"path": f"files/mods/{name}/mod.yml", "text": text}}
    sources = with_profile(dump({**profile(), "mods": [name] if used else []}))
    return {**sources, "mods": {**entry.read()["mods"], name: mod}}


def table(texts: Mapping[str, str]) -> list[str]:
    """The list of all profiles, as profiles.yml prints it; its lines are told as problems are."""
    profiles = {name: {"path": f"{name}.yml", "text": text} for name, text in texts.items()}
    lines = _catalogue.table({**entry.read(None), "profiles": profiles}).splitlines()
    return [line for line in lines if any(name in line for name in texts)]


def convert(text: str) -> list[str]:
    """A recipe; a profile that comes of it must be one."""
    made, notes = _recipe.convert({"path": "r.yaml", "text": text}, entry.read()["schema"]["text"], "2026-11-21")
    if made:
        json.dumps(made, allow_nan=False).encode()
    return [] if made else notes


def checkpoint(folder: Path, config: bytes | None, index: bytes | None) -> list[str]:
    for name, raw in (("config.json", config), ("model.safetensors.index.json", index)):
        if raw is not None:
            (folder / name).write_bytes(raw)
    return at_checkpoint(folder)


def at_checkpoint(folder: Path) -> list[str]:
    return entry.plan(_sources.read(entry.PROFILE, checkpoints={profile()["model"]["repo"]: str(folder)}))


def as_json(value: Any) -> bytes:
    try:
        return json.dumps(value).encode("utf-8", "surrogateescape")
    except (ValueError, RecursionError):
        return b'{"max_position_embeddings": ' + b"9" * 5000 + b"}"


def bad_json(random: Random) -> tuple[bytes, str]:
    good = json.dumps(CONFIG).encode()
    return random.choice(
        [
            (b"", "nothing"),
            (b"null", "null"),
            (b"[]", "a list"),
            (b'"x"', "a text"),
            (good[:-1], "cut"),
            (good[:-1] + b', "a": NaN}', "NaN"),
            (good[:-1] + b', "a": -Infinity}', "Infinity"),
            (good[:-1] + b', "a": ' + b"9" * 5000 + b"}", "a long integer"),
            (good[:-1] + b', "a": ' + b"9" * 400 + b"}", "a big integer"),
            (good[:-1] + b', "a": 1e999}', "a big number"),
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


def kinds_of_file() -> dict[str, Callable[[Path], None]]:
    """What may lie where a file is wanted, and is none that can be read."""

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(20 * 1024**3)

    def listener(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            here = os.getcwd()
            os.chdir(path.parent)  # a path of a socket is short
            try:
                server.bind(path.name)
            finally:
                os.chdir(here)

    return {
        "a folder": Path.mkdir,
        "a FIFO": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a terminal": lambda path: path.symlink_to("/dev/tty"),
        "a link to a FIFO": lambda path: (os.mkfifo(f"{path}.fifo"), path.symlink_to(f"{path}.fifo"))[1],
        "a dangling link": lambda path: path.symlink_to("nothing"),
        "a loop of links": lambda path: path.symlink_to(path.name),
        "a sparse giant": sparse,
        "a socket": listener,
    }


# Beside what is wanted; nobody asked for them.
STRANGERS: Mapping[str, Callable[[Path], None]] = {
    "an editor's lock": lambda folder: (folder / ".#own.yml").symlink_to("user@host.123:456"),
    "an editor's swap file": lambda folder: (folder / ".own.yml.swp").write_bytes(b"b0VIM"),
    "a backup": lambda folder: (folder / "own.yml~").write_bytes(b"\xff"),
    "a name that is not UTF-8": lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff.yml")).write_text("a: 1"),
    "a name with a line break": lambda folder: (folder / "a\nb.yml").write_text("a: 1"),
    "a dot": lambda folder: (folder / ".yml").write_text("a: 1"),
    "a folder of that name": lambda folder: (folder / "folder.yml").mkdir(),
    "a FIFO": lambda folder: os.mkfifo(folder / "fifo.yml"),
    "a dangling link": lambda folder: (folder / "dangling.yml").symlink_to("nothing"),
    "a loop": lambda folder: (folder / "loop.yml").symlink_to("loop.yml"),
    "a device": lambda folder: (folder / "device.yml").symlink_to("/dev/zero"),
}


def file_case(random: Random) -> Case:
    """A file that is none, or strangers beside one."""
    name = random.choice(list(kinds_of_file()))
    make = kinds_of_file()[name]
    where = random.choice(
        [
            "profile",
            "another profile",
            "image",
            "another image",
            "mod.yml",
            "run.sh",
            "in a mod",
            "another mod",
            "config.json",
            "index",
            "strangers",
            "folder",
        ]
    )

    def run(folder: Path) -> list[str]:
        profiles, images, mods = (folder / part for part in ("p", "i", "m"))
        image, mod = images / "own", mods / "own"
        for part in (profiles, image, mod):
            part.mkdir(parents=True)
        (profiles / "own.yml").write_text(dump({**profile(), "image": "own", "mods": ["own"]}))
        (image / "image.yml").write_text(entry.read()["images"]["vllm-node-sim"]["text"])
        (mod / "run.sh").write_text("true\n")
        (mod / "mod.yml").write_text("summary: x\n")
        places = {
            "profile": profiles / "own.yml",
            "another profile": profiles / "another.yml",
            "image": image / "image.yml",
            "another image": images / "another" / "image.yml",
            "mod.yml": mod / "mod.yml",
            "run.sh": mod / "run.sh",
            "in a mod": mod / "more",
            "another mod": mods / "another" / "run.sh",
        }
        if where in ("config.json", "index"):
            if where == "index":
                (folder / "config.json").write_bytes(as_json(CONFIG))
            make(folder / {"index": "model.safetensors.index.json"}.get(where, where))
            return at_checkpoint(folder)
        if where == "strangers":
            for part in (profiles, images, mods):
                stranger(part)
        elif where == "folder":
            make(folder / "x")
        else:
            places[where].parent.mkdir(exist_ok=True)
            places[where].unlink(missing_ok=True)
            make(places[where])
        given = (str(profiles), str(images), str(mods)) if where != "folder" else tuple(str(folder / "x") for _ in range(3))
        if listing:
            _catalogue.table(_sources.read(None, [given[0]], [given[1]], [given[2]]))
            return []
        wanted = "own" if where != "folder" else entry.PROFILE
        return entry.plan(_sources.read(wanted, [given[0]], [given[1]], [given[2]]))

    listing = random.random() < 0.25
    about = random.choice(list(STRANGERS)) if where == "strangers" else name
    stranger = STRANGERS[about] if where == "strangers" else None
    used = where in ("profile", "image", "mod.yml", "run.sh", "in a mod")
    if where == "in a mod" and name == "a folder":
        used = False
    oracle: Any = "any" if listing or where in ("config.json", "index", "folder") else "refuse" if used else "accept"
    return Case("files: " + ("list" if listing else where), run, oracle, about=about)


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


def repr_safe(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return "x" * 9999


def put_any(document: Document, path: str, value: Any) -> Document:
    """`put`, where the keys themselves may have dots."""
    try:
        return put(document, path, value)
    except (TypeError, AttributeError):
        return document


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
    index = as_json({"weight_map": {"a": "b", "c": entry.value(random)}} if random.random() < 0.5 else {"weight_map": entry.value(random)})
    return Case("index: any value", lambda folder: checkpoint(folder, as_json(CONFIG), index), about=index[:300].decode(errors="replace"))


MAKERS = (
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
