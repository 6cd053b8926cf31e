"""The damages of tools/mutants: mutmut's, without those of words, and where each lies."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, WhitespaceInclusivePositionProvider
from mutmut.mutation.file_mutation import create_mutations

# Another one after survivors of a sample were killed, or the next measures what it taught.
SEED = 2


class Mutant:
    """One damage: where, what stood there and what does now; `compares`: it is part of a comparison; `within`: of a function's body."""

    def __init__(self, before: str, after: str, compares: bool, bodies: list[tuple[int, int]]) -> None:
        self.after, self.compares = after, compares
        pairs = zip(before.splitlines(), after.splitlines(), strict=False)
        self.line, self.old, self.new = next((number, old.strip(), new.strip()) for number, (old, new) in enumerate(pairs, 1) if old != new)
        self.within = any(first <= self.line <= last for first, last in bodies)
        self.fate = ""


class Comparing(cst.CSTVisitor):
    """The nodes that are part of a comparison, or of what joins and negates comparisons."""

    def __init__(self) -> None:
        self.found: set[int] = set()
        self.depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        negates = isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Not)
        self.depth += self.depth > 0 or negates or isinstance(node, cst.Comparison | cst.BooleanOperation)
        if self.depth or isinstance(node, cst.IfExp):
            self.found.add(id(node))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self.depth -= self.depth > 0


def message(node: cst.CSTNode | None) -> bool:
    """Words for people: wording is no decision."""
    return isinstance(node, cst.FormattedString | cst.ConcatenatedString) or (isinstance(node, cst.SimpleString) and " " in node.value)


def worded(old: cst.CSTNode, new: cst.CSTNode) -> bool:
    """Does a damage only change a string, or take a message away?"""
    if isinstance(old, cst.BaseString):
        return True
    if isinstance(old, cst.Assign | cst.AnnAssign):
        return message(old.value)
    if isinstance(old, cst.Call) and isinstance(new, cst.Call):
        kept = [id(argument) for argument in new.args]
        return any(message(argument.value) for argument in old.args if id(argument) not in kept)
    return False


class Splice:
    """Puts a node in another's place, in the text: a tree that is written anew for each damage takes longer than most tests."""

    def __init__(self, module: cst.Module, text: str) -> None:
        self.module, self.text = module, text
        self.spans = MetadataWrapper(module, unsafe_skip_copy=True).resolve(WhitespaceInclusivePositionProvider)
        self.lines = [0, *itertools.accumulate(len(line) for line in text.splitlines(keepends=True))]

    def __call__(self, old: cst.CSTNode, new: cst.CSTNode) -> str:
        if old in self.spans:
            start, end = (self.lines[at.line - 1] + at.column for at in (self.spans[old].start, self.spans[old].end))
            # Not so of what is indented.
            if self.text[start:end] == self.module.code_for_node(old):
                return self.text[:start] + self.module.code_for_node(new) + self.text[end:]
        return cst.ensure_type(self.module.deep_replace(old, new), cst.Module).code


def mutants(file: Path, name: str, sample: int, comparisons: bool) -> tuple[int, list[Mutant]]:
    """How many damages to a file are worth one, and those to try; `comparisons`: of what is part of one alone."""
    text = file.read_text()
    module, found, *_ignored = create_mutations(name, text)
    comparing = Comparing()
    module.visit(comparing)
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    # A body in the line of its head could be the head's damage.
    bodies = [(node.body[0].lineno, node.end_lineno or 0) for node in functions if node.body[0].lineno > node.lineno]
    worth = [item for item in found if not worded(item.original_node, item.mutated_node)]
    worth = [item for item in worth if not comparisons or id(item.original_node) in comparing.found]
    tried = random.Random(f"{SEED} {name}").sample(worth, sample) if 0 < sample < len(worth) else worth
    splice = Splice(module, text)
    return len(worth), [
        Mutant(text, splice(item.original_node, item.mutated_node), id(item.original_node) in comparing.found, bodies) for item in tried
    ]


class Fates:
    """What came of each damage, kept as it comes: a run that was interrupted goes on."""

    def __init__(self, path: Path, again: bool) -> None:
        self.path = path
        if again:
            path.unlink(missing_ok=True)

    def read(self) -> dict[str, str]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return dict(json.loads(line) for line in lines)

    def key(self, way: str, name: str, item: Mutant) -> str:
        """Of the whole damaged text, so that another file's fates are not taken for its own."""
        return hashlib.sha256(f"{way} {name}\n{item.after}".encode()).hexdigest()[:24]

    def __call__(self, way: str, name: str, item: Mutant, ask: Callable[[], str]) -> str:
        fate = self.read().get(self.key(way, name, item))
        if fate is None:
            fate = ask()
            with self.path.open("a") as kept:
                kept.write(json.dumps([self.key(way, name, item), fate]) + "\n")
        return fate
