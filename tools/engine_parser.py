"""What a published engine's own argument parser takes, as JSON. tools/engine_flags.py runs it, in a process for each engine.

vLLM makes most flags from the fields of its configuration classes, by code that changes with each version; so that code itself runs. What
it imports is its configuration and its parser; everything else (torch, pydantic, the kernels) is a stand-in, so neither a GPU nor one of
its dependencies is needed. A stand-in that reaches a table is an error.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import contextlib
import dataclasses
import enum
import importlib
import inspect
import io
import json
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

# Alone (-I) it finds nothing beside itself.
sys.path.insert(0, str(Path(__file__).parent))
from engine_stand_ins import BOUNDS, FieldInfo, Finder, StandIn

# vLLM's flags whose JSON becomes a class only after parsing (EngineArgs.create_*_config).
LATE = {"speculative_config": "SpeculativeConfig"}
# Flags whose text is a name in a registry, which plugins may add to: where the engine's own names stand.
REGISTRIES = {
    "vllm": {
        "quantization": ("vllm.model_executor.layers.quantization", "QuantizationMethods"),
        "load-format": ("vllm.model_executor.model_loader", "LoadFormats"),
        "tool-call-parser": ("vllm.tool_parsers", "_TOOL_PARSERS_TO_REGISTER"),
        "reasoning-parser": ("vllm.reasoning", "_REASONING_PARSERS_TO_REGISTER"),
    },
    "sglang": {"speculative-algorithm": ("sglang.srt.speculative.spec_info", "SpeculativeAlgorithm")},
}
# vLLM's validators that fold a text, where no parser's type says so (config/load.py, config/model.py).
FOLDED = ("load-format", "tokenizer-mode")
# A word that its validators take beside an enumeration's members (config/attention.py).
BESIDE = {"AttentionBackendEnum": ["auto"]}


def plain(value: Any) -> Any:
    """A constant as JSON; Ellipsis for what is none."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
        return ... if ... in items else items
    if isinstance(value, dict):
        items = [plain(item) for item in value.values()]
        return ... if ... in items or not all(isinstance(key, str) for key in value) else dict(zip(value, items, strict=True))
    return ...


def choices(values: Iterable[Any]) -> list[Any]:
    """Sorted, and nothing but constants."""
    found = sorted(dict.fromkeys(values), key=lambda item: (isinstance(item, str), item))
    if not all(isinstance(item, str | int | float) for item in found):
        raise TypeError(f"choices that are no constants: {found}")
    return found


def literal(hint: Any) -> list[Any]:
    """All values of a Literal with nested ones."""
    return [value for item in typing.get_args(hint) for value in (literal(item) if typing.get_origin(item) is typing.Literal else [item])]


def bounds(field: dataclasses.Field[Any]) -> dict[str, Any]:
    """What pydantic bounds a number by: Field(ge=1), or the same in Annotated."""
    noted = typing.get_args(field.type)[1:] if typing.get_origin(field.type) is typing.Annotated else ()
    found = {key: value for note in noted if isinstance(note, FieldInfo) for key, value in note.options["metadata"].items()}
    return {**found, **{key: field.metadata[key] for key in BOUNDS if key in field.metadata}}


class Reader:
    """Turns parser actions and configuration classes into table entries; `fields` collects the classes that JSON flags fill."""

    def __init__(self) -> None:
        self.fields: dict[str, dict[str, Any]] = {}
        self.queue: list[type] = []

    def hints(self, hint: Any) -> list[Any]:
        """The members of a union, without Annotated."""
        if typing.get_origin(hint) is typing.Annotated:
            return self.hints(typing.get_args(hint)[0])
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            return [inner for item in typing.get_args(hint) for inner in self.hints(item)]
        return [hint]

    def typed(self, hint: Any) -> dict[str, Any]:
        """What a field takes, as JSON."""
        found = self.hints(hint)
        entry: dict[str, Any] = {}
        names: list[str] = []
        for item in found:
            origin = typing.get_origin(item) or item
            if item is type(None):
                entry["optional"] = True
            elif origin is typing.Literal:
                entry["choices"] = entry.get("choices", []) + literal(item)
                names += [type(value).__name__ for value in literal(item)]
            elif isinstance(item, type) and issubclass(item, enum.Enum):
                # vLLM's validators take a member's name in any case, and pydantic its value.
                values = [member.value for member in item.__members__.values() if isinstance(member.value, str | int)]
                names_ = [*(name.lower() for name in item.__members__), *BESIDE.get(item.__name__, [])]
                entry["choices"] = [*names_, *(value for value in values if not isinstance(value, str))]
                entry["folds"] = "lower"
                names += ["str", *(["int"] if any(isinstance(value, int) for value in values) else [])]
            elif dataclasses.is_dataclass(item) and isinstance(item, type):
                entry["of"] = self.known(item)
                names.append("dict")
            elif origin in (bool, int, float, str, list, dict):
                names.append(origin.__name__)
            elif origin in (tuple, set, frozenset):
                names.append("list")
            else:
                if isinstance(item, StandIn):
                    print(f"a field of a type that is not read: {item.__name__}", file=sys.stderr)
                names.append("any")
        entry["type"] = "any" if not names or "any" in names else "|".join(dict.fromkeys(names))
        if "choices" in entry:
            # A text beside the literal: others may register more.
            if any((typing.get_origin(item) or item) is str for item in found):
                entry["open"] = True
            entry["choices"] = choices(entry["choices"])
        return entry

    def known(self, cls: type) -> str:
        """Queue a class; its name."""
        if cls.__name__ not in self.fields:
            self.fields[cls.__name__] = {}
            for field in dataclasses.fields(cls):
                if field.init and not field.name.startswith("_"):
                    self.fields[cls.__name__][field.name] = {**self.typed(field.type), **bounds(field)}
        return cls.__name__

    def convert(self, convert: Any) -> dict[str, Any]:
        """A parser's `type=`."""
        if convert is None:
            return {"type": "str"}
        if convert in (int, float, str):
            return {"type": convert.__name__}
        if convert in (json.loads,):
            return {"type": "json"}
        name = getattr(convert, "__name__", "")
        inner = inspect.getclosurevars(convert).nonlocals if inspect.isfunction(convert) else {}
        if name == "_optional_type":
            return {"optional": True, **self.convert(inner["return_type"])}
        if name == "_parse_type":
            return self.convert(inner["return_type"])
        if name == "parse_dataclass":
            return {"type": "json", "of": self.known(inspect.signature(convert).parameters["cls"].default), "sizes": True}
        kinds = {
            "human_readable_int": "size", "human_readable_int_or_auto": "size_or_auto", "union_dict_and_str": "json_or_str",
            "json_list_type": "json", "nullable_str": "str", "str_to_bool": "bool_text",
        }  # fmt: skip
        if name in kinds:
            return {**({"optional": True} if name in ("union_dict_and_str", "nullable_str") else {}), "type": kinds[name]}
        if name == "<lambda>":
            # What it makes of a text says what it is.
            made = convert("A-B")
            if made in ("a_b", ["A-B"]):
                return {"type": "str", **({"folds": "snake"} if made == "a_b" else {})}
        raise TypeError(f"a parser's type that this tool does not know: {convert!r}")

    def action(self, action: argparse.Action, types_: Mapping[str, Any]) -> dict[str, Any]:
        """One flag, without its names."""
        kind = type(action).__name__
        entry: dict[str, Any] = {}
        if isinstance(action, argparse.BooleanOptionalAction):
            entry["type"] = "bool"
        elif action.nargs == 0:
            entry["type"] = "switch"
        else:
            entry |= self.convert(action.type)
        if kind == "_AppendAction":
            entry["append"] = True
        if action.nargs not in (None, 0):
            entry["nargs"] = action.nargs
        if action.choices:
            values = [value for value in action.choices if value != "None"]
            entry["choices"] = choices(values)
        elif isinstance(action.metavar, list):
            entry["choices"], entry["open"] = choices(action.metavar), True
        hint = types_.get(action.dest)
        if "choices" not in entry and entry["type"] == "str" and hint is not None:
            entry |= {key: value for key, value in self.typed(hint).items() if key in ("choices", "folds", "open")}
        default = plain(action.default)
        if default is not ... and default != argparse.SUPPRESS and entry["type"] != "switch":
            entry["default"] = default
        help_ = action.help or ""
        if kind.startswith("Deprecated") or re.search(r"^\W*deprecated|\bis deprecated|will be removed", help_, re.IGNORECASE):
            entry["deprecated"] = getattr(action, "new_flag", None) or re.split(r"(?<=[a-z0-9`])\. ", " ".join(help_.split()))[0][:160]
        # What its own action takes apart may be JSON, too (LoRA adapters).
        own = not kind.startswith(("_", "Boolean", "Deprecated"))
        if entry["type"] == "str" and "choices" not in entry and (own or re.search(r"\bjson\b", help_, re.IGNORECASE)):
            entry["type"] = "json_or_str"
        return entry


def flags(parser: argparse.ArgumentParser, types_: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """Every flag by its first long name."""
    found: dict[str, Any] = {}
    for action in parser._actions:
        names = [
            name for name in action.option_strings if not (isinstance(action, argparse.BooleanOptionalAction) and name.startswith("--no-"))
        ]
        longs = [name for name in names if name.startswith("--")]
        if not longs or isinstance(action, argparse._HelpAction):
            continue
        also = [name for name in names if name != longs[0]]
        found[longs[0][2:]] = {**({"also": also} if also else {}), **reader.action(action, types_)}
    return dict(sorted(found.items()))


def registered(found: dict[str, Any], engine: str) -> None:
    """Put the names of registries into the entries of their flags."""
    for name, (module, variable) in REGISTRIES[engine].items():
        values = getattr(importlib.import_module(module), variable)
        names = literal(values) if typing.get_origin(values) else list(getattr(values, "__members__", values))
        found[name] |= {"choices": choices(names), "open": True}


def in_sources(site: Path, package: str, pattern: str) -> set[str]:
    """Names of variables that the sources read from the environment by literal name."""
    reads = re.compile(
        r"""(?:environ(?:\.get|\.setdefault|\.pop)?|getenv|get_bool_env_var|get_int_env_var|get_str_env_var|EnvField)[\[(]\s*["']"""
        + f"({pattern})[\"']"
    )
    return {name for path in (site / package).rglob("*.py") for name in reads.findall(path.read_text(errors="replace"))}


def vllm(site: Path) -> dict[str, Any]:
    """vLLM's table."""
    # Its help names what is deprecated, and is made only when asked for.
    sys.argv = ["vllm", "serve", "--help=all"]
    reader = Reader()
    cli = (
        "vllm.entrypoints.launchers.cli_args"
        if (site / "vllm/entrypoints/launchers/cli_args.py").exists()
        else "vllm.entrypoints.openai.cli_args"
    )
    engine, front = importlib.import_module("vllm.engine.arg_utils"), importlib.import_module(cli)
    parser = front.make_arg_parser(importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser(add_help=False))
    args = {field.name: field.type for field in dataclasses.fields(engine.AsyncEngineArgs)}
    found = flags(parser, args, reader)
    config = importlib.import_module("vllm.config")
    for dest, cls in LATE.items():
        found[dest.replace("_", "-")]["of"] = reader.known(getattr(config, cls))
    # A flag that is named as a field of a configuration class fills it.
    for cls in vars(config).values():
        for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) and isinstance(cls, type) else ():
            entry = found.get(field.name.replace("_", "-"), {})
            if entry.get("type") in ("int", "float", "size", "size_or_auto"):
                entry |= bounds(field)
    registered(found, "vllm")
    for name in FOLDED:
        found[name]["folds"] = "lower"
    envs = importlib.import_module("vllm.envs").environment_variables
    names = {name for name in envs if name.startswith("VLLM_")} | in_sources(site, "vllm", r"VLLM_[A-Z0-9_]+")
    listed = {**_env_numbers(envs), **_env_choices(site / "vllm/envs.py")}
    return {"flags": found, "fields": dict(sorted(reader.fields.items())), "env": {name: listed.get(name, {}) for name in sorted(names)}}


def _env_numbers(envs: Mapping[str, Callable[[], Any]]) -> dict[str, dict[str, Any]]:
    """The variables that are read as numbers, by what their readers take: a truth is int, too (bool(int("1")))."""

    def takes(name: str, text: str) -> bool:
        os.environ[name] = text
        try:
            envs[name]()
        except ValueError:
            return False
        # A reader that wants more than its text says nothing of it.
        except Exception:
            return text != "1"
        finally:
            del os.environ[name]
        return True

    # What takes "{}" is read as JSON, of which a number is one.
    numbers = [name for name in envs if takes(name, "1") and not takes(name, "x") and not takes(name, "{}")]
    return {name: {"type": "float" if takes(name, "1.5") else "int"} for name in numbers}


def _env_choices(path: Path) -> dict[str, dict[str, Any]]:
    """What vllm/envs.py takes of a variable, where it lists that as constants."""
    found: dict[str, dict[str, Any]] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        name_ = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name_ in ("env_with_choices", "env_list_with_choices", "env_set_with_choices"):
            with contextlib.suppress(ValueError, IndexError):
                name, values = ast.literal_eval(node.args[0]), ast.literal_eval(node.args[2])
                folds = any(word.arg == "case_sensitive" and ast.literal_eval(word.value) is False for word in node.keywords)
                entry: dict[str, Any] = {"choices": choices(values)}
                if name_ != "env_with_choices":
                    entry["many"] = True
                found[name] = {**entry, **({"folds": "lower"} if folds else {})}
    return found


def sglang(site: Path) -> dict[str, Any]:
    """SGLang's table."""
    reader = Reader()
    module = importlib.import_module("sglang.srt.server_args")
    parser = argparse.ArgumentParser(add_help=False)
    module.ServerArgs.add_cli_args(parser)
    found = flags(parser, {}, reader)
    registered(found, "sglang")
    envs = importlib.import_module("sglang.srt.environ").Envs
    pattern = r"(?:SGLANG|SGL)_[A-Z0-9_]+"
    typed = _env_fields(envs, site, pattern)
    names = {name for name in (*vars(envs), *typed) if re.fullmatch(pattern, name)} | in_sources(site, "sglang", pattern)
    return {"flags": found, "fields": dict(sorted(reader.fields.items())), "env": {name: typed.get(name, {}) for name in sorted(names)}}


def _env_fields(envs: type, site: Path, pattern: str) -> dict[str, dict[str, Any]]:
    """What SGLang takes of a variable, by its field's `parse`, or by the function that reads it, which takes less."""
    found: dict[str, dict[str, Any]] = {}

    def takes(field: Any, text: str) -> bool:
        try:
            field.parse(text)
        except ValueError:
            return False
        return True

    for name, field in vars(envs).items():
        # A text takes anything.
        if hasattr(field, "parse") and not takes(field, "x"):
            truths = [word for word in ("true", "1", "yes", "y", "on", "false", "0", "no", "n", "off") if takes(field, word)]
            number = {"type": "float" if takes(field, "1.5") else "int"}
            found[name] = number if takes(field, "2") else {"choices": truths, "folds": "lower"}
            if hasattr(field, "deprecated_name"):
                found[field.deprecated_name] = found[name]
    # srt/utils/common.py takes anything else for false, or for the default.
    for function, spec in (("bool", {"choices": ["true", "1", "false", "0"], "folds": "lower"}), ("int", {"type": "int"})):
        reads = re.compile(rf"get_{function}_env_var\(\s*[\"']({pattern})[\"']")
        for path in (site / "sglang").rglob("*.py"):
            found |= dict.fromkeys(reads.findall(path.read_text(errors="replace")), spec)
    return found


def main(engine: str, site: Path) -> None:
    """Print the table of the sources in a folder, as JSON."""
    sys.meta_path.insert(0, Finder(engine, site))
    for name in [name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names and name != "__main__"]:
        del sys.modules[name]
    with contextlib.redirect_stdout(io.StringIO()):
        found = {"vllm": vllm, "sglang": sglang}[engine](site)
    builtins.print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
