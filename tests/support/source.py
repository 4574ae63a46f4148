"""The source as the house's tests read it: its files, its imports, its public names, and what its code uses."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from support.places import SOURCE

Hit = tuple[int, str]  # a line, and what stands there


@functools.cache
def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def place_of(path: Path) -> str:
    """Where a file is: `generation/journal/record`; a package's own file is its folder."""
    return str(path.relative_to(SOURCE).with_suffix("")).removesuffix("/__init__").removesuffix("__init__")


def within(place: str, *rooms: str) -> bool:
    """Whether a place is one of `rooms`, or lies below one."""
    return any(place == room or place.startswith(f"{room}/") for room in rooms)


def imports(path: Path) -> Iterator[Hit]:
    """(line, absolute module) of every import, deferred ones too: hiding an arrow does not remove it."""
    package = ("herogen_async", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            if module.split(".")[0] == "herogen_async":  # a name may be a module
                for alias in node.names:
                    yield node.lineno, f"{module}.{alias.name}"
            else:
                yield node.lineno, module


def public_names(file: Path | ast.Module) -> Iterator[str]:
    """The classes, functions and constants that a file defines for others."""
    for node in (tree_of(file) if isinstance(file, Path) else file).body:
        names: list[str] = []
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        yield from (name for name in names if not name.startswith("_"))


def claims_to_be_pure(path: Path) -> bool:
    """Whether a file's docstring says so ("pure but for ..." is no such claim)."""
    return bool(re.search(r"\bpure\b(?! but\b)", ast.get_docstring(tree_of(path)) or "", re.IGNORECASE))


# -- what a file's expressions name


class _Expressions(ast.NodeVisitor):
    """The names and calls of a tree, without its annotations."""

    def __init__(self) -> None:
        self.calls: list[ast.Call] = []
        self.names: list[ast.Attribute | ast.Name] = []

    def visit_arg(self, node: ast.arg) -> None:
        """An argument is its annotation, and nothing else."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
            self.visit(part)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.calls.append(node)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.names.append(node)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.names.append(node)


def _imported(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: {"replace": "os.replace"}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = (
                    f"{node.module or ''}.{alias.name}" if not node.level else alias.name
                )
    return found


def written(node: ast.expr) -> str:
    """A dotted name as it stands; `?` for what is no name: `?.unlink` for `Path("a").unlink`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{written(node.value)}.{node.attr}"
    return "?"


class Uses:
    """What a file's code names, resolved by its imports."""

    def __init__(self, tree: ast.Module) -> None:
        found = _Expressions()
        found.visit(tree)
        self._imported = _imported(tree)
        self.calls = [(node, self.resolve(node.func)) for node in found.calls]
        self.names = [(node.lineno, self.resolve(node)) for node in found.names]

    def resolve(self, node: ast.expr) -> str:
        first, dot, rest = written(node).partition(".")
        return f"{self._imported.get(first, first)}{dot}{rest}"

    def is_imported(self, name: str) -> bool:
        """Whether a dotted name begins with a module's, so that it says which function it is."""
        return any(name == whole or name.startswith(f"{whole}.") for whole in self._imported.values())


@functools.cache
def uses_of(path: Path) -> Uses:
    return Uses(tree_of(path))
