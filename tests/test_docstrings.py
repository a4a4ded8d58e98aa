"""How docstrings begin: with a verb that says what the function does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src" / "bentoship"

VERBS = """
    Abort Add Allow Announce Ask Assemble Attach Become Begin Build Call Check Clear Compare Compile Compress
    Configure Connect Copy Create Delete Do Download Enable End Enter Find Give Have Hold Import Install Keep Kill
    List Load Lock Log Make Mount Move Name Open Parse Point Print Publish Pull Push Put Raise Read Rebuild Record
    Refresh Remove Replace Report Return Run Send Set Show Sign Start Stop Store Tag Take Turn Unpack Update Use
    Verify Wait Wake Write Yield
"""
"""The verbs that docstrings begin with; add one that is missing."""


def others(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the docstring of each function, method and property whose docstring begins with no verb."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if text and text.split()[0].rstrip(".,:") not in VERBS.split():
            yield node.lineno, text.splitlines()[0]


@pytest.mark.parametrize("module", sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.py")))
def test_docstrings_begin_with_a_verb(module: str) -> None:
    """Each function, method and property says what it does, in the imperative."""
    assert not list(others((SOURCES / module).read_text("utf-8")))


@pytest.mark.parametrize("text", ["Whether it is there.", "The bytes of its blob.", "Returns the bytes.", "A folder."])
def test_other_beginnings_are_found(text: str) -> None:
    """A noun, a question and the third person are none."""
    assert list(others(f'class Layer:\n    """A layer."""\n    def size(self):\n        """{text}"""')) == [(3, text)]
