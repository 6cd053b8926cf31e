"""Each mod on the source of each published engine. `GX10_WRITE=1 pytest tests/engines` writes the table of docs/mods.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from conftest import ROOT, apply

MODS = sorted(path.parent.name for path in ROOT.glob("files/mods/*/run.sh"))
CELLS = ("applied by diff", "applied by fallback", "applied by plugin", "not needed", "refused")
DOCUMENT = ROOT / "docs/mods.md"
WRAPPED = """
import importlib.metadata, sys
for entry in importlib.metadata.entry_points(group="vllm.general_plugins"):
    entry.load()()
    entry.load()()
from vllm.model_executor.models.qwen3_5 import Qwen3_5Model
print(list(Qwen3_5Model().load_weights([("a.weight_scale", 1), ("a_weight_scale", 2), ("a.weight", 3)])))
"""


def state(site: Path) -> dict[str, tuple[int, int]]:
    """Every file of the engine with its size and time: what is written again has another time."""
    files = ((path, path.stat()) for path in site.rglob("*") if path.is_file())
    return {str(path.relative_to(site)): (stat.st_size, stat.st_mtime_ns) for path, stat in files}


def cell(mod: str, site: Path) -> str:
    """Apply a mod, prove what it says, apply it again; one of CELLS."""
    before = state(site)
    done = apply(mod, site)
    last = [line for line in done.stdout.splitlines() if line.startswith(f"mod {mod}: ")][-1].removeprefix(f"mod {mod}: ")
    found = next(text for text in CELLS if last.startswith(text))
    after = state(site)
    assert (done.returncode == 0) is (found != "refused"), done.stdout + done.stderr
    assert (after != before) is found.startswith("applied"), f"{mod}: {last}"
    # Twice is once.
    again = apply(mod, site)
    assert again.returncode == done.returncode
    assert state(site) == after
    return found if found != "refused" else f"refused: {last.removeprefix('refused: ').splitlines()[0].replace(str(site), '…')}"


def test_every_mod_on_every_engine(versions: list[str], engine: Callable[[str], Path]) -> None:
    rows = {}
    for version in versions:
        site = engine(version)
        pristine = state(site)
        rows[version] = []
        for mod in MODS:
            rows[version].append(cell(mod, site))
            # Each on a fresh copy.
            if state(site) != pristine:
                subprocess.run(["rm", "-rf", str(site)], check=True)
                site = engine(version)
    table = ["| vLLM | " + " | ".join(MODS) + " |", "|---|" + "---|" * len(MODS)]
    table += [f"| {version} | " + " | ".join(cells) + " |" for version, cells in rows.items()]
    print("\n".join(table))
    assert all(text.startswith(CELLS) for cells in rows.values() for text in cells)
    text = DOCUMENT.read_text()
    block = re.search(r"(?<=<!-- table -->\n)(?:\|.*\n)+", text)
    assert block
    if os.environ.get("GX10_WRITE"):
        DOCUMENT.write_text(text[: block.start()] + "\n".join(table) + "\n" + text[block.end() :])
    written = DOCUMENT.read_text()
    # A release that is newer than the document has its row above; the others must be there as they are.
    assert [row for row in table[:-1] if row not in written] == []


def test_diff_and_fallback_end_in_the_same_source(engine: Callable[[str], Path]) -> None:
    site = engine("0.22.1")
    path = site / "vllm/model_executor/models/qwen3_5.py"
    original = path.read_text()
    assert "applied by diff" in apply("nex-fp8-loader", site).stdout
    by_diff = path.read_text()
    path.write_text(original)
    # Without patch(1) on the PATH.
    tools = site.parent / "tools"
    tools.mkdir()
    for name in ("sh", "env"):
        (tools / name).symlink_to(f"/bin/{name}" if name == "sh" else "/usr/bin/env")
    (tools / "python3").symlink_to(sys.executable)
    assert "applied by fallback" in apply("nex-fp8-loader", site, PATH=str(tools)).stdout
    assert path.read_text() == by_diff != original


def test_drift_that_nothing_can_handle_shows_the_function(engine: Callable[[str], Path]) -> None:
    site = engine("0.22.1")
    path = site / "vllm/model_executor/models/qwen3_5.py"
    text = path.read_text()
    start = text.index("    def load_weights(", text.index("class Qwen3_5Model("))
    end = text.index("class Qwen3_5ForCausalLMBase(")
    path.write_text(text[:start] + "    def load_weights(self, tensors):\n        return load_all(self, tensors)\n\n\n" + text[end:])
    before = path.read_text()
    done = apply("nex-fp8-loader", site)
    assert done.returncode == 1
    assert "refused" in done.stdout
    assert "def load_weights(self, tensors):\n        return load_all(self, tensors)" in done.stdout
    assert path.read_text() == before


def test_the_budget_flag_refuses_what_it_cannot_place_and_changes_no_file(engine: Callable[[str], Path]) -> None:
    site = engine("0.22.1")
    path = site / "vllm/v1/worker/utils.py"
    path.write_text(path.read_text().replace("requested_memory = math.ceil", "wanted_memory = math.ceil"))
    before = state(site)
    done = apply("gpu-mem-util-gb", site)
    assert done.returncode == 1
    assert "found 0 x requested_memory from gpu_memory_utilization" in done.stdout
    assert state(site) == before


def test_the_plugin_wraps_when_the_engine_imports_the_model(engine: Callable[[str], Path]) -> None:
    site = engine("0.22.1")
    assert "applied by plugin" in apply("nex-fp8-loader-plugin", site).stdout
    # A module of that name without torch; the wrapping does not look into it.
    for name in ("vllm/__init__.py", "vllm/model_executor/__init__.py", "vllm/model_executor/models/__init__.py"):
        (site / name).write_text("")
    (site / "vllm/model_executor/models/qwen3_5.py").write_text(
        "class Qwen3_5Model:\n    def load_weights(self, weights):\n        return weights\n"
    )
    done = subprocess.run([sys.executable, "-c", WRAPPED], env={"PYTHONPATH": str(site)}, capture_output=True, text=True)
    assert done.stdout.strip() == "[('a.weight_scale_inv', 1), ('a_weight_scale', 2), ('a.weight', 3)]", done.stderr
