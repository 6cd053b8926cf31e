"""Stand-ins for what an engine's parser imports: its own configuration runs, everything else is anything. For engine_parser.py."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Modules that run; those that end in a dot with all below them.
REAL = {
    "vllm": (
        *("vllm.config.", "vllm.engine.arg_utils", "vllm.utils.argparse_utils", "vllm.envs", "vllm.entrypoints.constants"),
        *(
            "vllm.entrypoints.openai.cli_args",
            "vllm.entrypoints.launchers.cli_args",
            "vllm.tool_parsers.__init__",
            "vllm.v1.kv_cache_layout",
        ),
        *("vllm.reasoning.__init__", "vllm.v1.attention.backends.registry", "vllm.v1.attention.backends.mla.prefill.registry"),
    ),
    "sglang": (
        *("sglang.srt.server_args", "sglang.srt.arg_groups.", "sglang.srt.environ", "sglang.srt.utils.common"),
        *("sglang.srt.function_call.function_call_parser", "sglang.srt.parser.reasoning_parser", "sglang.srt.speculative.spec_info"),
    ),
}
# pydantic's, of a number.
BOUNDS = ("ge", "gt", "le", "lt")


class StandIn(type):
    """A class that is anything: any attribute, call, item or comparison gives another one, or what was given to it."""

    def __getattr__(cls, name: str) -> Any:
        if name == "__version__":
            return "0"
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(f"{cls.__name__}.{name}")

    def __enter__(cls) -> Any:
        return cls

    def __exit__(cls, *_error: Any) -> None:
        pass

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        # A machine with CUDA, as a GX10 is.
        last = cls.__name__.rpartition(".")[2]
        if last.startswith(("is_", "has_", "use_")):
            return last in ("is_cuda", "is_cuda_alike")
        # A decorator.
        return args[0] if len(args) == 1 and not kwargs and (callable(args[0])) else cls

    def __getitem__(cls, _key: Any) -> Any:
        return cls

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __contains__(cls, _item: Any) -> bool:
        return False

    def _same(cls, *_args: Any) -> Any:
        return cls

    def _no(cls, *_args: Any) -> bool:
        return False

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __floordiv__ = __neg__ = _same
    __lt__ = __gt__ = __le__ = __ge__ = _no


def stand_in(name: str) -> Any:
    """One more of them."""
    return StandIn(name, (), {"__module__": "stand_in"})


class FieldInfo:
    """What pydantic's Field gives, as far as defaults and bounds go."""

    def __init__(self, default: Any = ..., *, default_factory: Any = None, init: bool = True, **more: Any) -> None:
        self.options: dict[str, Any] = {"init": init, "metadata": {key: more[key] for key in BOUNDS if more.get(key) is not None}}
        if default_factory is not None:
            self.options["default_factory"] = default_factory
        elif default is not ...:
            self.options["default"] = default


class Module(types.ModuleType):
    """A module that nobody runs; `known` are names that must mean something. The Literals of its `source` are read, not run."""

    def __init__(self, name: str, known: Mapping[str, Any], source: Path) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__dict__.update(known)
        file = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
        text = file.read_text() if file.exists() else ""
        for node in ast.parse(text).body if "Literal[" in text else []:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and isinstance(value, ast.Subscript) and getattr(value.value, "id", "") == "Literal":
                with contextlib.suppress(NameError):
                    self.__dict__[target.id] = eval(ast.unparse(value), {"Literal": typing.Literal, **self.__dict__})

    def __getattr__(self, name: str) -> Any:
        return getattr(stand_in(self.__name__), name)


def dataclass(cls: Any = None, **_options: Any) -> Any:
    """pydantic's decorator: only the fields count, nothing is validated or computed."""
    if cls is None:
        return dataclass
    for name, value in list(vars(cls).items()):
        if isinstance(value, FieldInfo):
            setattr(cls, name, dataclasses.field(**value.options))
    cls.__post_init__ = lambda _self, *_args: None
    return dataclasses.dataclass(kw_only=True)(cls)


def _known(name: str) -> Mapping[str, Any]:
    if name == "regex":
        return {key: getattr(re, key) for key in dir(re)}
    if name == "typing_extensions":
        return {key: getattr(typing, key) for key in dir(typing) if not key.startswith("__")}
    if name in ("pydantic", "pydantic.fields"):
        known = {
            "Field": FieldInfo,
            "FieldInfo": FieldInfo,
            "ConfigDict": dict,
            # Of a number the parser's type stays; of a class it says that nothing fills it from JSON.
            "SkipValidation": type("", (), {"__class_getitem__": lambda _cls, item: item if item is int else Any}),
        }
        return {**known, "ValidationError": type("ValidationError", (ValueError,), {})}
    if name == "pydantic.dataclasses":
        return {"dataclass": dataclass}
    if name == "vllm.platforms":
        return {"current_platform": StandIn("current_platform", (), {"device_type": "cuda", "device_name": "cuda"})}
    return {}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the engine's own configuration, and stand-ins for everything else outside the standard library."""

    def __init__(self, engine: str, site: Path) -> None:
        self.real, self.site = REAL[engine], site

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None
        plain = [item for item in self.real if not item.endswith(".")]
        if name in plain or f"{name}.__init__" in plain or any(f"{name}.".startswith(item) for item in self.real if item.endswith(".")):
            place = self.site.joinpath(*name.split("."))
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if file.exists():
                search = [str(place)] if place.is_dir() else None
                return importlib.util.spec_from_file_location(name, file, submodule_search_locations=search)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return Module(spec.name, _known(spec.name), self.site.joinpath(*spec.name.split(".")))

    def exec_module(self, module: types.ModuleType) -> None:
        pass
