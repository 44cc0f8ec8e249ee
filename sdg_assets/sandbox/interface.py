"""Determines which names the tests take from the program, and which from their own side.

Names that the tests check with must not come from the program: otherwise a program could pass by
redefining `isclose`, `Counter` or `all`. So the names that cross from the program to its tests are
determined from the source texts, before anything runs: functions, classes and values that the
program defines and the tests use without defining them. All other names come from the test's side:
builtins, and the standard library, imported again for the tests with the import statements of the
program that the tests were written for.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_LIBRARY = frozenset((*dir(builtins), *sys.stdlib_module_names))


@dataclass(frozen=True)
class Interface:
    """The names that the tests use without defining them.

    Attributes:
        functions: Functions of the program, in the order of their definitions.
        classes: Classes of the program.
        values: Other globals of the program.
        imports: Import statements of the program, for names of the standard library that the tests
            use without importing them.
        fixtures: Positions of the tests without an assert, which only prepare other tests.
    """

    functions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    fixtures: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that crosses from the program to its tests."""
        return self.functions + self.classes + self.values


def interface(code: str, tests: Sequence[str]) -> Interface:
    """Determine which names cross from a program to its tests.

    A program may define a function named `sum` or `select`. A name of a builtin or of a module
    crosses only if it is the only name of the program that the tests use.

    Args:
        code: The program's source text.
        tests: The source texts of its tests.

    Returns:
        The names; no names if the program or a test does not parse: running it reports the error.
    """
    try:
        bindings = dict(_bindings(ast.parse(code).body))
        used, called = _used(tests), _called(tests)
    except _UNREADABLE:
        return Interface()
    imports = {name: binding.source for name, binding in bindings.items() if binding.source}
    own = {n: b.kind for n, b in bindings.items() if n in used and b.kind != "import"}
    library = [name for name in own if name in _LIBRARY]
    if library and len(own) > 1:
        own = {name: kind for name, kind in own.items() if name not in _LIBRARY}
    # A value that the tests call counts as a function, however the program binds it.
    kinds = {n: "function" if kind == "value" and n in called else kind for n, kind in own.items()}
    unknown = used - bindings.keys() - _LIBRARY
    return Interface(
        functions=tuple(name for name, kind in kinds.items() if kind == "function"),
        classes=tuple(name for name, kind in kinds.items() if kind == "class"),
        values=tuple(name for name, kind in kinds.items() if kind == "value"),
        imports=tuple(
            source for name, source in imports.items() if name in used or ("*" in name and unknown)
        ),
        fixtures=tuple(place for place, test in enumerate(tests) if not asserts(test)),
    )


def asserts(test: str) -> bool:
    """Whether a test contains an assert statement.

    Raises:
        SyntaxError: The test does not parse.
    """
    return any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(test)))


@dataclass(frozen=True)
class _Binding:
    kind: str
    source: str = ""


def _bindings(body: Iterable[ast.stmt]) -> Iterator[tuple[str, _Binding]]:
    """The names that a program binds at top level, also in `if`, `try`, `for`, `with` blocks."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, _Binding("function")
        elif isinstance(node, ast.ClassDef):
            yield node.name, _Binding("class")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imported(node)
        else:
            blocks = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            handlers = node.handlers if isinstance(node, ast.Try) else []
            yield from _bindings([*blocks, *(stmt for each in handlers for stmt in each.body)])
            for name in _stored(node, set(map(id, blocks))):
                yield name, _Binding("value")


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, _Binding]]:
    """The names that an import binds, each with a statement that binds only this name.

    Only the standard library is imported for the tests. Names from other packages do not cross, so
    a test that uses one fails with a `NameError`.
    """
    for alias in node.names:
        single: ast.stmt = ast.Import([alias])
        module = alias.name
        if isinstance(node, ast.ImportFrom):
            single = ast.ImportFrom(node.module, [alias], node.level)
            module = "" if node.level else node.module or ""
        name = alias.asname or alias.name.partition(".")[0]
        if alias.name == "*":
            name = f"{module}.*"
        in_stdlib = module.partition(".")[0] in sys.stdlib_module_names and module != "__future__"
        yield name, _Binding("import", ast.unparse(single) if in_stdlib else "")


def _stored(node: ast.stmt, blocks: set[int]) -> Iterator[str]:
    """The names that a statement assigns, without the statements of its blocks."""
    waiting: list[ast.AST] = [node]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if id(child) in blocks or isinstance(child, ast.ExceptHandler | ast.Lambda):
                continue
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                yield child.id
            waiting.append(child)


def _used(tests: Iterable[str]) -> set[str]:
    """The global names that the tests use and do not bind themselves."""
    used: set[str] = set()
    bound: set[str] = set()
    for test in tests:
        top = symtable.symtable(test, "<test>", "exec")
        bound |= {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
        tables = [top]
        while tables:
            table = tables.pop()
            symbols = table.get_symbols()
            used |= {s.get_name() for s in symbols if s.is_global() and s.is_referenced()}
            tables += table.get_children()
    return used - bound


def _called(tests: Iterable[str]) -> set[str]:
    """The names that the tests call."""
    calls = (n.func for test in tests for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}
