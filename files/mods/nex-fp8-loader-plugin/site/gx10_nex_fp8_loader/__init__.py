# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM general plugin: rename `.weight_scale` to `.weight_scale_inv` on the way into Qwen3_5Model.load_weights.

vLLM loads it in every process, Ray's workers too. It wraps the method instead of changing the source, so it survives that lines move.
The model's module is not imported for it: it is wrapped when the engine imports it.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

MODULE = "vllm.model_executor.models.qwen3_5"


def alias(weights: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Names with a dot before `weight_scale` get the suffix of the slots that vLLM's FP8 methods register."""
    for name, weight in weights:
        yield (name + "_inv" if name.endswith(".weight_scale") else name), weight


def wrap(module: ModuleType) -> None:
    """Wrap Qwen3_5Model.load_weights, once."""
    model: Any = module.Qwen3_5Model
    original = model.load_weights
    if getattr(original, "gx10_nex_fp8_loader", False):
        return

    @functools.wraps(original)
    def load_weights(self: Any, weights: Iterable[tuple[str, Any]], *args: Any, **kwargs: Any) -> Any:
        return original(self, alias(weights), *args, **kwargs)

    load_weights.gx10_nex_fp8_loader = True  # type: ignore[attr-defined]
    model.load_weights = load_weights


class Finder(importlib.abc.MetaPathFinder):
    """Lets the other finders find the module, and wraps it after it ran."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            wrap(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def register() -> None:
    """The entry point. vLLM may call it several times in a process."""
    if MODULE in sys.modules:
        wrap(sys.modules[MODULE])
    elif not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
