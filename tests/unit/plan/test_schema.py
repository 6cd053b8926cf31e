"""The launch plan is what its JSON Schema says, and the schemas are what the types say, key by key."""

from __future__ import annotations

import copy
import json
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, NotRequired

import jsonschema
import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _profile_types, _resolve, _site, _sources, _types
from conftest import ROOT, edited, hostvars

PROFILES = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml"))
SCHEMA = json.loads((ROOT / "plugins/module_utils/plan/schemas/plan.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def planned(name: str) -> Any:
    """The profile on the inventory that it is for, whoever has measured it."""
    inventory = "sim" if name.startswith("sim-") else "sample"
    site = yaml.safe_load((ROOT / f"inventories/{inventory}/group_vars/gx10.yml").read_text())
    # What only Ansible can fill in.
    variables = hostvars(**{key: value for key, value in site.items() if "{{" not in str(value)})
    sources = _sources.read(name)
    assert sources["profile"]
    provenance = {**yaml.safe_load(sources["profile"]["text"])["provenance"], "status": "untested"}
    found = _resolve.resolve(edited(sources, provenance=provenance), variables, list(variables), accept_untested=True)
    assert found["plan"], found["message"]
    return found["plan"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_profiles_plan_is_valid(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(planned(name))] == []


@pytest.mark.parametrize("measured", ["6.38 GiB", True, [6.38]])
def test_a_bench_of_another_form_makes_no_other_plan(resolve: Any, measured: Any) -> None:
    profile = yaml.safe_load((ROOT / "model_profiles/nex-n2-pro.yml").read_text())
    profile["expect"]["bench"]["kv_cache_gib"] = measured
    profile["provenance"]["date"] = str(profile["provenance"]["date"])
    plan = resolve(text=json.dumps(profile))["plan"]
    assert plan["memory"]["reported"]["kv_cache_gib"] is None
    assert VALIDATOR.is_valid(plan)


def test_the_schema_is_one_of_its_own_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["format"]["const"] == _resolve.FORMAT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan.update(colour="red"), "'colour' was unexpected"),
        (lambda plan: plan["nodes"][2]["container"]["options"].update(privileged=True), "'privileged' was unexpected"),
        (lambda plan: plan["image"]["lineage"][0].update(tag="latest"), "'tag' was unexpected"),
        (lambda plan: plan.pop("supervisor"), "'supervisor' is a required property"),
        (lambda plan: plan["nodes"][1].pop("ray"), "'ray' is a required property"),
        (lambda plan: plan["watch"]["settings"].pop("busy"), "'busy' is a required property"),
        (lambda plan: plan["weights"].update(port="8731"), "'8731' is not of type 'integer'"),
        (lambda plan: plan["nodes"][0]["env"].update(OMP_NUM_THREADS=1), "1 is not of type 'string'"),
        (lambda plan: plan["memory"].update(floor_gib=None), "None is not of type 'number'"),
        (lambda plan: plan.update(format=4), "5 was expected"),
    ],
)
def test_another_form_is_refused(change: Callable[[Any], object], message: str) -> None:
    plan = copy.deepcopy(planned("qwen397-mtp2"))
    change(plan)
    (error,) = VALIDATOR.iter_errors(plan)
    assert message in error.message


JSON_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "null": type(None)}


def of_type(hint: Any) -> Any:
    """The form of a type: a mapping's keys (with ? where they may be absent) to their forms, [form of items], {form of values}."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if typing.is_typeddict(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        # Of annotations that are text, Python does not see NotRequired.
        optional = {key for key, one in hints.items() if typing.get_origin(one) is NotRequired} | hint.__optional_keys__
        return {f"{key}?" if key in optional else key: of_type(one) for key, one in hints.items()}
    if origin is NotRequired:
        return of_type(inner[0])
    if origin is Literal:
        return {str}
    if origin is list:
        return [of_type(inner[0])]
    if origin is dict:
        return ("by name", of_type(inner[1]))
    if origin in (typing.Union, types.UnionType):
        return ("any of", *sorted((of_type(one) for one in inner), key=str))
    return Any if hint is Any else {hint}


def of_schema(schema: Any, root: Any) -> Any:
    """The form of a JSON Schema, in the same words."""
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return of_schema(target, root)
    if "anyOf" in schema:
        return ("any of", *sorted((of_schema(one, root) for one in schema["anyOf"]), key=str))
    kind = "string" if "enum" in schema else schema.get("type")
    if isinstance(kind, list):
        return ("any of", *sorted((of_schema({**schema, "type": one}, root) for one in kind), key=str))
    if kind == "array":
        return [of_schema(schema["items"], root)]
    if kind == "object" and "properties" in schema:
        assert schema["additionalProperties"] is False
        required = schema.get("required", [])
        assert set(required) <= set(schema["properties"])
        return {key if key in required else f"{key}?": of_schema(one, root) for key, one in schema["properties"].items()}
    if kind == "object":
        return ("by name", of_schema(schema.get("additionalProperties", {}), root))
    return Any if kind is None else {JSON_TYPES[kind]}


def test_a_plans_schema_and_its_type_are_one() -> None:
    assert of_schema(SCHEMA, SCHEMA) == of_type(_types.Plan)


@pytest.mark.parametrize(("path", "hint"), [("model_profiles", _profile_types.Profile), ("files/images", _profile_types.ImageFile)])
def test_what_a_plan_is_made_of_has_its_schemas_form(path: str, hint: Any) -> None:
    schema = json.loads((ROOT / path / "schema.json").read_text())
    # A flag's value is checked by its engine.
    schema["properties"].get("args", {})["additionalProperties"] = {}
    assert of_schema(schema, schema) == of_type(hint)


def test_every_setting_of_the_site_has_a_type() -> None:
    assert {f"gx10_{key}" for key in _site.Site.__annotations__} == set(_site.SITE_DEFAULTS)


def test_the_comparison_sees_a_difference_anywhere() -> None:
    changes: tuple[Callable[[Any], object], ...] = (
        lambda schema: schema["$defs"]["recall"]["required"].clear(),
        lambda schema: schema["$defs"]["recall"]["properties"].update(words={"type": "string"}),
        lambda schema: schema["$defs"]["recall"]["properties"].update(lines={"type": "number"}),
        lambda schema: schema["$defs"]["node"]["properties"].update(ray={"$ref": "#/$defs/ray"}),
    )
    for change in changes:
        changed = copy.deepcopy(SCHEMA)
        change(changed)
        assert of_schema(changed, changed) != of_type(_types.Plan)
