"""The part of a module that determines its service: all but the bodies of functions that its import does not run.

A Bento's description (its routes, models, packages) results from importing the service. A change within the body of a
function that the import did not run cannot change the description, so it does not require another import.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType


@contextmanager
def trace_calls() -> Iterator[set[CodeType]]:
    """Yield a set that collects the code run within the block, in this thread and in those started there."""
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def fingerprint(source: bytes, run: Collection[str]) -> str:
    """Return a hash of the part that determines the service, 64 hex digits; comments and line numbers do not matter.

    Args:
        source: the source of a module.
        run: the qualified names of the functions that its import runs.

    Raises: SyntaxError.
    """
    tree = _IdleBodyRemover(run).visit(ast.parse(source))
    return hashlib.sha256(f"{sys.version}\0{ast.dump(tree)}".encode()).hexdigest()


class _IdleBodyRemover(ast.NodeTransformer):
    """A transformer that removes the bodies of functions that are not run, except for what is visible from outside."""

    def __init__(self, run: Collection[str]) -> None:
        self._run = run
        self._prefix = ""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._within(node, f"{self._prefix}{node.name}.")

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        name = f"{self._prefix}{node.name}"
        if name in self._run:
            return self._within(node, f"{name}.<locals>.")
        doc = ast.get_docstring(node, clean=False)
        visible = ast.Tuple([ast.Constant(doc), ast.Constant(_yield(node.body))], ast.Load())
        node.body = [ast.Expr(visible)]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # ast's names

    def _within(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, prefix: str) -> ast.AST:
        outer, self._prefix = self._prefix, prefix
        self.generic_visit(node)
        self._prefix = outer
        return node


def _yield(nodes: Iterable[ast.AST]) -> bool:
    """Return whether statements make their function a generator, disregarding nested functions."""
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
    return any(
        isinstance(node, (ast.Yield, ast.YieldFrom))
        or (not isinstance(node, inner) and _yield(ast.iter_child_nodes(node)))
        for node in nodes
    )
