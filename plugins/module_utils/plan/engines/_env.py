# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of an engine: what opens it, what the plan sets, and names that this version does not read. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...common._problem import Problem, nearest, show
from . import _doors, _secrets
from ._engines import MODELS, Dialect
from ._flags import Spec, Table, elsewhere, nccl

# Open the engine to whoever reaches it, or change which code runs, whatever the engine.
OTHER_CODE = "it changes which code runs"
REFUSED = {
    "PYTHONOPTIMIZE": "it removes the engine's safety assertions",
    "PATH": "it changes which programs run",
    **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONPYCACHEPREFIX"), OTHER_CODE),
    **dict.fromkeys(("RAY_RUNTIME_ENV_HOOK", "RAY_PRELOAD_PYTHON_MODULES", "PERL5OPT", "PERL5LIB", "NODE_OPTIONS"), OTHER_CODE),
    **dict.fromkeys(("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "CUDA_INJECTION64_PATH", "GCONV_PATH"), OTHER_CODE),
}
# The plan sets them, per node or for all; GX10_ is what the supervisor reads.
OWNED = (
    *("VLLM_HOST_IP", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_DEDUP_LOGS", "RAY_memory_monitor_refresh_ms"),
    "DASHBOARD_METRIC_PORT",
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
)
OWN_PREFIX = "GX10_"
# Where the hub's cache is: the weights, which are data.
CACHES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE")
# NVIDIA's runtime and CUDA count from 0, and a GB10 is the only GPU of its node.
VISIBLE = {
    "NVIDIA_VISIBLE_DEVICES": re.compile(r"all|(0|GPU-[0-9a-f-]+)(,.+)?"),
    "CUDA_VISIBLE_DEVICES": re.compile(r"(0|GPU-[0-9a-f-]+)(,.+)?"),
}
# Nothing is the default.
C_INT = re.compile(r"\s*[-+]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)|")
UNKNOWN = "variable-unknown"
# Of older guides: removed before the oldest table.
GONE = {
    "VLLM_ATTENTION_BACKEND": "It belongs to args.attention-backend.",
    "VLLM_USE_V1": "There is no other engine any more: leave it out.",
}
SEEN = "it would stand in docker inspect"
# torch's own, from before it named them TORCH_NCCL_ (ProcessGroupNCCL.hpp); it still reads them.
TORCHS = ("NCCL_ASYNC_ERROR_HANDLING", "NCCL_BLOCKING_WAIT", "NCCL_DESYNC_DEBUG", "NCCL_ENABLE_TIMING")
# How off is written; whether an engine takes all of them is its table's to say.
OFF = ("0", "false", "no", "n")


def check(dialect: Dialect, env: Mapping[str, Any], where: str, prefix: str = "env") -> list[Problem]:
    """What nobody may set. Names as they are: a variable's case counts."""
    refused = {**REFUSED, **dialect.refused_env}
    problems = []
    for key, value in env.items():
        at = f"{prefix}.{key}"
        named = _secrets.variable(key, value)
        secret = named or _secrets.text(value)
        # A message goes into logs.
        found = "a secret" if secret else show(value)
        if key in refused:
            problems.append(Problem(where, at, found, f"no {key}", f"Reason: {refused[key]}.", "refused"))
        elif key in OWNED or key.startswith(OWN_PREFIX):
            problems.append(Problem(where, at, found, f"no {key}: the plan sets it per node", code="owned"))
        elif secret:
            wanted = f"no {key}" if named else "a value without a password, token or key"
            problems.append(Problem(where, at, found, wanted, f"Reason: {SEEN}; weights are local at serve time.", "secret"))
        elif _doors.below(str(value)) and key not in CACHES:
            why = "Reason: what lies there is a checkpoint's, and may be code; a mod brings files of its own."
            problems.append(Problem(where, at, found, f"a path that is not below {MODELS}", why, "path"))
        elif key in VISIBLE and not VISIBLE[key].fullmatch(str(value)):
            why = "Reason: it hides the node's GPU from the engine; gx10_container_options gives the container its GPUs."
            problems.append(Problem(where, at, found, f"no {key}, or one that begins with GPU 0", why, "refused"))
        elif key in dialect.off_env and str(value).lower() not in OFF:
            wanted = f"'0', or no {key}"
            problems.append(Problem(where, at, found, wanted, f"Reason: {dialect.off_env[key]}.", "refused"))
    return problems


def names(dialect: Dialect, table: Table, env: Mapping[str, Any], where: str, prefix: str = "env") -> tuple[list[Problem], list[str]]:
    """Names that nobody reads, and values that this version refuses; what NCCL reads and does not document is a warning."""
    problems, warnings = [], []
    version = f"{table.engine} {table.version}"
    for key, value in env.items():
        at = f"{prefix}.{key}"
        if key in TORCHS:
            warnings.append(f"{at}: an old name of torch's; the present one is TORCH_{key}")
        elif key.startswith("NCCL_"):
            if key not in nccl():
                wanted = "one of the variables of NCCL's manual"
                problems.append(Problem(where, at, "a variable that NCCL does not read", wanted, nearest(key, nccl()), UNKNOWN))
                continue
            problems += _value(nccl()[key], value, where, at, "NCCL")
            if nccl()[key].get("undocumented"):
                warnings.append(f"{at}: NCCL reads it, but its manual does not have it")
        elif key.startswith(dialect.prefixes) and key not in table.env and key not in dialect.refused_env and key not in OWNED:
            hint = elsewhere(table.engine, table.version, key, variable=True) or GONE.get(key) or nearest(key, table.env)
            problems.append(Problem(where, at, f"a variable that {version} does not read", f"one of {version}'s variables", hint, UNKNOWN))
        elif key in table.env:
            problems += _value(table.env[key], value, where, at, version)
    return problems, warnings


def _converts(kind: str, text: str) -> bool:
    """Can the engine make of a text the number that it wants? NCCL's strtoll would take what it cannot read for 0, so "true" is false."""
    if kind == "c_int":
        return C_INT.fullmatch(text) is not None
    try:
        return (int if kind == "int" else float)(text) is not None
    except ValueError:
        return False


def _value(spec: Spec, value: Any, where: str, at: str, version: str) -> list[Problem]:
    """What is wrong with a value that the engine refuses, or reads as another."""
    kind = spec.get("type")
    if kind is not None and not _converts(kind, str(value)):
        wanted = f"a number ({version})" if kind == "float" else f"an integer, 1 or 0 for a truth ({version})"
        return [Problem(where, at, show(value), wanted, code="wrong-type")]
    if "choices" not in spec:
        return []
    known = [str(choice) for choice in spec["choices"]]
    fold = str.lower if spec.get("folds") else str
    given = [item.strip() for item in str(value).split(",") if item.strip()] if spec.get("many") else [str(value)]
    bad = [item for item in given if fold(item) not in map(fold, known)]
    return [Problem(where, at, show(item), f"one of {', '.join(known)} ({version})", nearest(item, known), "not-a-choice") for item in bad]
