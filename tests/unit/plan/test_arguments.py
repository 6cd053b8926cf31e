"""The extra variables of the verbs, and the inventory's names: which there are stands in one place each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _arguments, _inventory, _variables
from conftest import ROOT, hostvars

FOLDERS = ("playbooks", "roles", "inventories", "molecule", "plugins")
# Of a mod, not of the inventory.
OTHERS = {"gx10_nex_fp8_loader", "gx10_sim_platform"}


def read(verb: str, given: dict[str, Any], owners: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    def lookup(name: str) -> Any:
        return given[name]

    found, problems = _arguments.read(verb, lookup, list(given), ["gx10", "all", "lab"], lambda: owners)
    return found, [(problem.key, problem.code) for problem in problems]


def texts() -> list[Path]:
    files = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return [path for path in files if path.suffix in (".yml", ".py", ".j2") and path.is_file() and "tests" not in path.parts]


def test_every_name_that_is_used_is_known_and_every_known_one_is_used_and_described() -> None:
    found = {name for path in texts() for name in re.findall(r"\bgx10_[a-z0-9_]*[a-z0-9]\b", path.read_text())}
    assert found - OTHERS <= set(_variables.KNOWN)
    described = re.findall(r"^\| `(gx10_\w+)` \|", (ROOT / "docs/inventory.md").read_text(), re.M)
    assert sorted(described) == sorted(_variables.KNOWN)


def test_every_verb_reads_its_arguments_from_its_own_spec() -> None:
    verbs = set()
    for path in (ROOT / "playbooks").glob("*.yml"):
        text = path.read_text()
        assert "validate_argspec" not in text, path
        verbs |= set(re.findall(r"(?:resolve_verb|^\s+verb): ([a-z_]+)$", text, re.M))
    specs = [yaml.safe_load(path.read_text())["argument_specs"] for path in (ROOT / "playbooks").glob("*.meta.yml")]
    assert verbs == {verb for spec in specs for verb in spec}
    assert {kind for verb in verbs for option in _arguments.options(verb).values() for kind in [option["type"]]} <= set(_arguments.WANTED)


# Which no argument of these names may be.
WRONG: dict[str, list[Any]] = {
    "profile": [None, 5, [1], {}, True],
    "override": ["x", [1]],
    "accept_untested": ["maybe", 2, []],
    "probe": [None, ""],
    "mods_path": [1, [1], [""], {}],
    "nodes": [None, ["gx10"]],
}


@pytest.mark.parametrize(
    ("given", "key", "code"),
    [
        ({}, "profile", "missing"),
        *[({name: value}, name, "wrong-type") for name, values in WRONG.items() for value in values],
        ({"profile": "a\x1bb"}, "profile", "control-character"),
        ({"nodes": "lba"}, "nodes", "not-a-choice"),
        *[({name: 1}, name, "unknown-key") for name in ("prolife", "plan_document", "gate_plan", "plan_accept_untested", "mods")],
    ],
)
def test_what_is_wrong_with_an_argument_is_blamed_on_it(given: dict[str, Any], key: str, code: str) -> None:
    assert read("serve", {**({"profile": "p"} if given else {}), **given})[1] == [(key, code)]


def test_arguments_are_typed() -> None:
    given = {"profile": "p", "accept_untested": "Yes", "mods_path": "a", "images_path": ["b", "c"], "override": None, "nodes": "lab"}
    found, problems = read("serve", given)
    assert problems == []
    assert (found["accept_untested"], found["probe"], found["nodes"]) == (True, False, "lab")
    assert (found["mods_path"], found["images_path"], found["override"]) == (["a"], ["b", "c"], None)


def test_what_somebody_reads_may_be_given() -> None:
    for name in ("ansible_user", "gx10_api_port", "gate_prompt", "mine"):
        assert read("serve", {"profile": "p", name: 1}, '{"x": "{{ mine }}"}')[1] == []
    # Told with the inventory's; a verb without nodes does not look at it.
    assert read("serve", {"profile": "p", "gx10_api_prot": 1})[1] == []
    assert read("profiles", {"gx10_api_prot": 1})[1] == [("gx10_api_prot", "unknown-key")]
    assert read("serve", {"profile": "p", "mine": 1}, "mine_too")[1] == [("mine", "unknown-key")]


def test_a_name_of_another_verb_says_so() -> None:
    _found, (problem,) = _arguments.read("status", dict[str, Any]().__getitem__, ["plan_out"], ["gx10"], str)
    assert problem.hint == "It is of plan."


def test_weights_are_of_a_profile_or_a_model() -> None:
    assert read("stage", {})[1] == [("", "missing")]
    assert read("stage", {"profile": "p", "model": "a/b"})[1] == [("", "exclusive")]
    assert read("stage", {"verify": "half", "model": "a/b"})[1] == [("verify", "not-a-choice")]


class Fails(dict[str, Any]):
    """hostvars of which one variable's template fails."""

    def __getitem__(self, key: str) -> Any:
        if key == "gx10_api_port":
            raise ValueError("'nope' is undefined")
        return super().__getitem__(key)


def test_a_template_that_fails_is_blamed_on_the_variable() -> None:
    variables: dict[str, dict[str, Any]] = {name: Fails(host, gx10_api_port="{{ nope }}") for name, host in hostvars(2).items()}
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert (problem.key, problem.code) == ("gx10_api_port", "template-fails")
    variables["gx10-1"] = hostvars(1)["gx10-1"]
    assert [problem.key for problem in _inventory.read(variables, list(variables), "i")[1]] == ["gx10-2.gx10_api_port"]


def test_an_unknown_name_is_told_once_of_all_hosts_with_the_nearest() -> None:
    variables = hostvars(6, gx10_api_prot=1, mine={"a": object()})
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert (problem.key, problem.hint, problem.code) == ("gx10_api_prot", "Did you mean 'gx10_api_port'?", "unknown-key")
    del variables["gx10-1"]["gx10_api_prot"]
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert problem.key == "gx10-2, gx10-3, gx10-4 and 2 more: gx10_api_prot"


class Locked(dict[str, Any]):
    """hostvars of whose hosts none can be had, as of a file of variables that the vault's password does not open."""

    def __getitem__(self, key: str) -> Any:
        raise ValueError("Decryption failed (no vault secrets were found that could decrypt).")


def test_a_secret_that_no_password_opens_says_so() -> None:
    class Sealed(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            if key == "gx10_secrets_dir":
                raise ValueError("A vault exception marker was tripped.")
            return super().__getitem__(key)

    variables: dict[str, Any] = {name: Sealed(host, gx10_secrets_dir="x") for name, host in hostvars(2).items()}
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert (problem.key, problem.code) == ("gx10_secrets_dir", "template-fails")
    assert problem.found.startswith("a secret that cannot be decrypted") and "--ask-vault-pass" in problem.hint
    locked = _inventory.read(Locked(hostvars(2)), ["gx10-1", "gx10-2"], "i")[1]
    assert [(one.key, one.wanted) for one in locked] == [("", "the password of its vault")]
    assert _inventory.weights_sources(Locked(hostvars(1)), ["gx10-1"]) == {}


class _OmitType:
    """As Ansible's own, a stub by its name."""


def test_omit_in_a_variable_is_said_as_what_it_is() -> None:
    (problem,) = _inventory.read(hostvars(2, gx10_api_address=_OmitType()), ["gx10-1", "gx10-2"], "i")[1]
    assert (problem.key, problem.found) == ("gx10_api_address", "omit, which leaves out an argument of a task and no variable")
    assert problem.wanted == "a value, or the variable left out"
    _found, (other,) = _arguments.read("serve", {"profile": "p", "override": _OmitType()}.__getitem__, [], ["gx10"], str)
    assert (other.key, other.wanted) == ("override", "a value, or the variable left out")


def test_an_override_given_as_text_is_told_how() -> None:
    _found, (problem,) = _arguments.read("serve", {"profile": "p", "override": "{args: {max-num-seqs: 8}}"}.__getitem__, [], ["gx10"], str)
    assert problem.hint == """As JSON: -e '{"override": {"args": {"max-num-seqs": 8}}}'"""
    _found, (problem,) = _arguments.read("serve", {"profile": "p", "override": [1]}.__getitem__, [], ["gx10"], str)
    assert problem.hint == ""


def test_nodes_behind_one_address_are_told_the_way_out() -> None:
    variables = {
        name: {**host, "ansible_host": "10.0.0.1", "ansible_port": port} for port, (name, host) in enumerate(hostvars(2).items(), 2201)
    }
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert (problem.key, problem.code) == ("gx10-2.ansible_host", "not-unique") and "gx10_management_address" in problem.hint
    for number, host in enumerate(variables.values(), 1):
        host["gx10_management_address"] = f"192.168.1.1{number}"
    assert _inventory.read(variables, list(variables), "i")[1] == []
    variables["gx10-2"]["gx10_management_address"] = "192.168.1.11"
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert (problem.key, problem.hint) == ("gx10-2.gx10_management_address", "")
