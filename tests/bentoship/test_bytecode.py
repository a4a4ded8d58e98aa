"""Byte-code, the same to the byte whatever the interpreter that makes it has loaded."""

from __future__ import annotations

import marshal
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import CodeType

import pytest

from bentoship import bytecode_worker
from bentoship.bases.interpreter import Interpreter
from bentoship.bytecode import Batch, compile_trees

HERE = Interpreter((sys.executable, "-I", "-S"), {"LC_ALL": "C.UTF-8"})
PYC = f"__pycache__/{{}}.{sys.implementation.cache_tag}.pyc"

SAMPLE = """\
'''Text with an ä.'''
import os
NUMBERS = (1, -1, 2**70, -2**70, 1.5, -0.0, 2j, True, None, ...)
def function(a, *b, c=("name", "no name", b"bytes", ("deep", ("deeper",))), **d):
    x = 1
    def inner():
        nonlocal x
        return a in {"red", "green", "blue", 1, 2.5, ("t", "u"), b"b"}, x, "name", ""
    return inner
class Größe:
    name: str = "Größe"
"""


def compiled(root: Path, at: str = "/app", *, jobs: int = 1, python: Interpreter = HERE) -> dict[str, bytes]:
    """The byte-code made for a folder, by path."""
    compile_trees(python, [Batch(root, PurePosixPath(at), tuple(root.rglob("*.py")))], jobs=jobs)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.pyc")}


def code_of(content: bytes) -> CodeType:
    code = marshal.loads(content[16:])
    assert isinstance(code, CodeType)
    return code


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Some of the standard library's own files."""
    root = tmp_path / "library"
    source = Path(re.__file__).parent.parent
    for name in ("re", "json", "asyncio"):
        shutil.copytree(source / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_value_is_kept() -> None:
    """The byte-code means what the compiler said."""
    code = compile(SAMPLE, "sample.py", "exec")
    assert marshal.loads(bytecode_worker.canonical(marshal.dumps(code))) == code


def test_standard_library_keeps_its_meaning(library: Path) -> None:
    """Real files compile to what the compiler says of them."""
    found = compiled(library)
    assert len(found) == len(list(library.rglob("*.py")))
    for name, content in found.items():
        source = library / name.replace("__pycache__/", "").replace(f".{sys.implementation.cache_tag}.pyc", ".py")
        shown = f"/app/{source.relative_to(library)}"
        assert code_of(content) == compile(source.read_bytes(), shown, "exec", dont_inherit=True)


def test_references_held_elsewhere_do_not_count() -> None:
    """What marshal writes depends on who else holds an object; ours doesn't."""
    code = compile(SAMPLE, "sample.py", "exec")
    fresh = marshal.loads(marshal.dumps(code))
    held = [fresh.co_consts, fresh.co_names, *fresh.co_consts]
    plain, again = marshal.dumps(code), marshal.dumps(fresh)
    assert held
    assert plain != again
    assert bytecode_worker.canonical(plain) == bytecode_worker.canonical(again)


def test_canonical_form_is_its_own() -> None:
    """Writing it once more changes nothing."""
    once = bytecode_worker.canonical(marshal.dumps(compile(SAMPLE, "sample.py", "exec")))
    assert bytecode_worker.canonical(marshal.dumps(marshal.loads(once))) == once


def test_bytes_do_not_depend_on_hashes_folders_jobs_or_time(library: Path, tmp_path: Path) -> None:
    """Another run elsewhere gives the same files."""
    first = compiled(library)
    other = tmp_path / "anderswo ä"
    shutil.copytree(library, other, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("__pycache__"))
    seeded = Interpreter((sys.executable, "-S", "-X", "importtime"), {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    assert compiled(other, jobs=3, python=seeded) == first


def test_source_is_never_looked_at_again(tmp_path: Path) -> None:
    """The header says so, and holds the source's hash instead of its time (PEP 552)."""
    (tmp_path / "a.py").write_text("x = 1\n")
    [content] = compiled(tmp_path).values()
    assert content[4:8] == b"\1\0\0\0"


def test_tracebacks_show_the_path_in_the_image(tmp_path: Path) -> None:
    """No folder of this machine is in the byte-code."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "a.py").write_text("def f(): pass\n")
    [content] = compiled(tmp_path, "/usr/lib").values()
    assert code_of(content).co_filename == "/usr/lib/package/a.py"
    assert str(tmp_path).encode() not in content


def test_what_is_no_python_is_left_alone(tmp_path: Path) -> None:
    """Templates, Python 2 and binary data don't stop the others."""
    (tmp_path / "template.py").write_text("{{ name }} =\n")
    (tmp_path / "old.py").write_text("print 'hello'\n")
    (tmp_path / "zero.py").write_bytes(b"x = '\0'\n")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe4'\n")
    (tmp_path / "good.py").write_text("x = '\\d'\n")
    assert list(compiled(tmp_path)) == [PYC.format("good")]


def test_byte_code_that_came_along_is_replaced(tmp_path: Path) -> None:
    """A wheel's own byte-code doesn't survive."""
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / PYC.format("a")).write_bytes(b"stale")
    assert compiled(tmp_path)[PYC.format("a")] != b"stale"


def test_interpreter_imports_it(tmp_path: Path) -> None:
    """Python uses it, even where the source has changed since."""
    (tmp_path / "a.py").write_text("print('compiled')\n")
    compiled(tmp_path)
    (tmp_path / "a.py").write_text("print('changed since')\n")
    done = subprocess.run([sys.executable, "-c", "import a"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "compiled\n"
