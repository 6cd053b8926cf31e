"""The loader of vLLM 0.22.1, its own code, on a miniature block-FP8 checkpoint as Nex-N2-Pro has it. No torch: weights pass through."""

from __future__ import annotations

import ast
import json
import re
import struct
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import apply

VERSION = "0.22.1"
EXPERTS, LAYERS = 2, 1


def function(path: Path, name: str, owner: str = "") -> str:
    """The source of a function or method, without decorators and annotations."""
    tree: ast.AST = ast.parse(path.read_text())
    if owner:
        tree = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == owner)
    found = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)
    found.decorator_list, found.returns = [], None
    for argument in [*found.args.args, *found.args.kwonlyargs]:
        argument.annotation = None
    for node in ast.walk(found):
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(
                    node,
                    field,
                    [ast.Assign([item.target], item.value, lineno=1) if isinstance(item, ast.AnnAssign) else item for item in value],
                )
    return ast.unparse(ast.fix_missing_locations(found))


def write(folder: Path, *, block: bool = True) -> list[tuple[str, list[int]]]:
    """A checkpoint with the report's names: (tensor, shape). Per-tensor scales have no dimension."""
    scale = [1, 1] if block else []
    names: list[tuple[str, list[int]]] = []
    for layer in range(LAYERS):
        parts = [f"mlp.experts.{expert}.{part}_proj" for expert in range(EXPERTS) for part in ("gate", "up", "down")]
        parts += ["linear_attn.in_proj_qkv", "linear_attn.in_proj_z", "linear_attn.out_proj"]
        for part in parts:
            names += [(f"layers.{layer}.{part}.weight", [128, 128]), (f"layers.{layer}.{part}.weight_scale", scale)]
    header: dict[str, Any] = {}
    offset = 0
    for name, shape in names:
        size = 4 if name.endswith("scale") else shape[0] * shape[1]
        kind = "F32" if name.endswith("scale") else "F8_E4M3"
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {name: "model.safetensors" for name in header}}))
    quantization = {"quant_method": "fp8", "activation_scheme": "dynamic", **({"weight_block_size": [128, 128]} if block else {})}
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3_5_moe", "quantization_config": quantization}))
    return names


class Parameter:
    """A slot of the model; keeps what was loaded into it."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def weight_loader(self, _parameter: Any, weight: str, *_args: Any, **_options: Any) -> bool:
        self.loaded.append(weight)
        return True


class Model:
    """Qwen3_5Model with the slots that vLLM's FP8 methods register for block scales."""

    def __init__(self, site: Path) -> None:
        slots = ["mlp.experts.w13_weight", "mlp.experts.w2_weight", "linear_attn.in_proj_qkvz.weight", "linear_attn.out_proj.weight"]
        names = [f"layers.{layer}.{slot}" for layer in range(LAYERS) for slot in slots]
        self.slots = {name + suffix: Parameter() for name in names for suffix in ("", "_scale_inv")}
        self.config = types.SimpleNamespace(num_experts=EXPERTS)
        self.warnings: list[str] = []
        models = site / "vllm/model_executor"
        space: dict[str, Any] = {
            "logger": types.SimpleNamespace(warning_once=self.warnings.append),
            "is_pp_missing_parameter": lambda _name, _model: False,
            "default_weight_loader": lambda parameter, weight: parameter.weight_loader(parameter, weight),
            "re": __import__("re"),
        }
        exec(function(models / "model_loader/weight_utils.py", "maybe_remap_kv_scale_name"), space)
        exec(function(models / "models/qwen3_5.py", "load_weights", "Qwen3_5Model"), space)
        experts = "build_initial_global_physical_to_logical_map"
        exec(function(site / "vllm/distributed/eplb/eplb_state.py", experts, "EplbState"), space)
        space["EplbState"] = types.SimpleNamespace(**{experts: space[experts]})
        exec(function(models / "layers/fused_moe/layer.py", "make_expert_params_mapping", "FusedMoE"), space)
        self.load_weights = types.MethodType(space["load_weights"], self)
        self._mapping = space["make_expert_params_mapping"]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return iter(self.slots.items())

    def modules(self) -> list[Any]:
        return []

    def get_expert_mapping(self) -> list[tuple[str, str, int, str]]:
        names = {"ckpt_gate_proj_name": "gate_proj", "ckpt_down_proj_name": "down_proj", "ckpt_up_proj_name": "up_proj"}
        found: list[tuple[str, str, int, str]] = self._mapping(
            types.SimpleNamespace(), self, **names, num_experts=EXPERTS, num_redundant_experts=0
        )
        return found


@pytest.fixture
def site(engine: Callable[[str], Path]) -> Path:
    return engine(VERSION)


def test_unpatched_it_fails_as_in_the_report(site: Path, tmp_path: Path) -> None:
    names = write(tmp_path / "nex")
    with pytest.raises(KeyError, match=r"layers\.0\.mlp\.experts\.w(2|13)_weight_scale'"):
        Model(site).load_weights([(name, name) for name, _shape in names])
    # The report's tensor: the experts' down projection.
    with pytest.raises(KeyError, match=r"layers\.0\.mlp\.experts\.w2_weight_scale'"):
        Model(site).load_weights([(name, name) for name, _shape in names if "down_proj" in name])


def test_patched_every_scale_arrives_in_its_slot(site: Path, tmp_path: Path) -> None:
    names = write(tmp_path / "nex")
    done = apply("nex-fp8-loader", site, GX10_MODEL_DIR=str(tmp_path / "nex"))
    assert done.returncode == 0, done.stdout + done.stderr
    model = Model(site)
    model.load_weights([(name, name) for name, _shape in names])
    assert model.warnings == []
    arrived = {slot: parameter.loaded for slot, parameter in model.slots.items()}
    experts = "layers.0.mlp.experts"
    wanted = {
        f"{experts}.w13_weight": [f"{experts}.{expert}.{part}_proj.weight" for expert in range(EXPERTS) for part in ("gate", "up")],
        f"{experts}.w2_weight": [f"{experts}.{expert}.down_proj.weight" for expert in range(EXPERTS)],
        "layers.0.linear_attn.in_proj_qkvz.weight": [f"layers.0.linear_attn.in_proj_{part}.weight" for part in ("qkv", "z")],
        "layers.0.linear_attn.out_proj.weight": ["layers.0.linear_attn.out_proj.weight"],
    }
    assert arrived == {**wanted, **{f"{slot}_scale_inv": [f"{name}_scale" for name in loaded] for slot, loaded in wanted.items()}}


@pytest.mark.parametrize("mod", ["nex-fp8-loader", "nex-fp8-loader-plugin"])
def test_a_per_tensor_checkpoint_is_refused(site: Path, tmp_path: Path, mod: str) -> None:
    write(tmp_path / "tensor", block=False)
    path = site / "vllm/model_executor/models/qwen3_5.py"
    before = path.read_text()
    done = apply(mod, site, GX10_MODEL_DIR=str(tmp_path / "tensor"))
    assert done.returncode == 1
    assert "weight_block_size: found None; wanted two numbers" in done.stdout
    assert "found shape []; wanted a scale for each block" in done.stdout
    assert path.read_text() == before
    assert not list(site.glob("gx10_nex*"))


def test_a_checkpoint_that_needs_no_mod_is_refused(site: Path, tmp_path: Path) -> None:
    write(tmp_path / "qwen")
    index = tmp_path / "qwen/model.safetensors.index.json"
    index.write_text(index.read_text().replace("weight_scale", "weight_scale_inv"))
    done = apply("nex-fp8-loader", site, GX10_MODEL_DIR=str(tmp_path / "qwen"))
    assert done.returncode == 1
    assert "this checkpoint needs no mod" in done.stdout


def test_the_budget_keeps_half_a_gib_beside_it(site: Path) -> None:
    path = site / "vllm/v1/worker/utils.py"
    assert apply("gpu-mem-util-gb", site).returncode == 0
    space: dict[str, Any] = {"math": __import__("math"), "format_gib": lambda size: f"{size / 2**30:.2f}"}
    exec(function(path, "request_memory"), space)

    def request(free: float, budget: float | None) -> int:
        snapshot = types.SimpleNamespace(total_memory=111.27 * 2**30, free_memory=free * 2**30, device_="cuda:0")
        config = types.SimpleNamespace(gpu_memory_utilization=0.5, gpu_memory_utilization_gb=budget)
        found: int = space["request_memory"](snapshot, config)
        return found

    assert request(111.27, 108) == 108 * 2**30
    assert request(108.5, 108) == 108 * 2**30
    with pytest.raises(ValueError, match=r"found 108.49 GiB free; wanted 108.50 \(the budget and 0.50 beside it\)"):
        request(108.49, 108)
    # Without the flag nothing is different.
    assert request(111.27, None) == int(111.27 * 2**30 * 0.5 + 1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, ""),
        ({"kv_cache_memory_bytes": 1}, "--gpu-memory-utilization-gb and --kv-cache-memory-bytes: found both; wanted one"),
        ({"gpu_memory_utilization": 0.9}, "--gpu-memory-utilization-gb and --gpu-memory-utilization: found both; wanted one"),
        ({"gpu_memory_utilization_gb": 0}, "--gpu-memory-utilization-gb: found 0; wanted more than 0 GiB"),
    ],
)
def test_what_contradicts_the_budget_is_refused_by_name(site: Path, change: dict[str, Any], text: str) -> None:
    assert apply("gpu-mem-util-gb", site).returncode == 0
    # The first thing that the patched code does before it makes the configuration.
    tree = ast.parse((site / "vllm/engine/arg_utils.py").read_text())
    (check,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "self.gpu_memory_utilization_gb is not None"
    )
    given = {"gpu_memory_utilization": 0.92, "kv_cache_memory_bytes": None, "gpu_memory_utilization_gb": 108, **change}
    space = {"self": types.SimpleNamespace(**given), "EngineArgs": types.SimpleNamespace(gpu_memory_utilization=0.92)}
    code = compile(ast.Module([check], []), "arg_utils.py", "exec")
    if not text:
        exec(code, space)
        return
    with pytest.raises(ValueError, match=re.escape(text)):
        exec(code, space)
