"""Byte-code, the same to the byte whatever the interpreter that makes it has loaded."""

from __future__ import annotations

import json
import marshal
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import CodeType

import pytest
from uv import find_uv_bin

from bentoship.errors import ProcessError
from bentoship.layers import bytecode_worker
from bentoship.layers.bytecode import Batch, Interpreter, compile_trees
from bentoship.system.progress import State
from tests.support.reporting import Told

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

# What is marked, interned or shared in another way when somebody has loaded the same texts before.
SHARING = {
    "names": "def function(one):\n    def inner(): return one.attribute, one(argument=('in_tuple', ('deeper',)))\n",
    "letters": "x = 'µ'",
    "sets": "def f(x): return x in {'gzip', 'deflate'}\ndef g(x): return 1, x in {'gzip', 'deflate'}",
    "classes": "class Outer:\n    class Inner:\n        pass\ndef f():\n    class Local: pass",
    "sample": SAMPLE,
}


@pytest.fixture(params=["3.9", "3.10", "3.11", "3.12", "3.13"])
def interpreter(request: pytest.FixtureRequest) -> str:
    """A Python of each minor version that is installed here."""
    command = [find_uv_bin(), "python", "find", "--no-project", "--no-python-downloads", request.param]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"no Python {request.param} is installed")
    return found.stdout.strip()


def compiled(root: Path, at: str = "/app", *, jobs: int = 1, python: Interpreter = HERE) -> dict[str, bytes]:
    """The byte-code made for a folder, by path."""
    compile_trees(python, [Batch(root, PurePosixPath(at), tuple(root.rglob("*.py")))], jobs=jobs)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.pyc")}


def test_each_file_counts(library: Path) -> None:
    """What is no Python, too: it has been looked at."""
    (library / "template.py").write_text("{{ name }} = ?")
    files, told = tuple(library.rglob("*.py")), Told()
    compile_trees(HERE, [Batch(library, PurePosixPath("/app"), files)], jobs=2, title="compiling it", reporter=told)
    assert told.tasks == [State("compiling it", len(files), len(files), "files")]


@pytest.mark.parametrize("written", ["", "no frame", r"\13\0\0\0../../evil-1", r"\12\0\0\0cpython-31\377\377\377\377"])
def test_what_is_no_byte_code_is_refused(tmp_path: Path, written: str) -> None:
    """A foreign interpreter may write what it likes: it never says which file is written."""
    (tmp_path / "module.py").touch()
    with pytest.raises(ProcessError, match="Compile Python files"):
        compiled(tmp_path, python=Interpreter(("/bin/sh", "-c", f"printf '{written}'"), {"PATH": "/usr/bin:/bin"}))
    assert [path.name for path in tmp_path.iterdir()] == ["module.py"]


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
    assert code_of(bytecode_worker.compiled(SAMPLE.encode(), "sample.py")) == compile(
        SAMPLE, "sample.py", "exec", dont_inherit=True
    )


def test_standard_library_keeps_its_meaning(library: Path) -> None:
    """Real files compile to what the compiler says of them."""
    found = compiled(library)
    assert len(found) == len(list(library.rglob("*.py")))
    for name, content in found.items():
        source = library / name.replace("__pycache__/", "").replace(f".{sys.implementation.cache_tag}.pyc", ".py")
        shown = f"/app/{source.relative_to(library)}"
        assert code_of(content) == compile(source.read_bytes(), shown, "exec", dont_inherit=True)


@pytest.mark.parametrize("before", ["exec(source)", "kept = [sys.intern(text) for text in texts]"])
def test_what_is_loaded_does_not_count(before: str, interpreter: str) -> None:
    """What marshal writes depends on who else holds a text, and on who has interned it before; ours doesn't."""
    for name, source in SHARING.items():
        texts = ["µ", "Outer.Inner", "f.<locals>.Local", *re.findall(r"\w+", source)]
        plain = loaded_and_compiled(interpreter, source, [], "")
        assert loaded_and_compiled(interpreter, source, texts, before) == plain, name


def loaded_and_compiled(interpreter: str, source: str, texts: list[str], before: str) -> bytes:
    """What the worker makes in a Python that has done something before."""
    program = f"""
import json, sys
source, texts, folder = json.load(sys.stdin)
{before}
sys.path.insert(0, folder)
import bytecode_worker
sys.stdout.buffer.write(bytecode_worker.compiled(source.encode(), "sample.py"))
"""
    given = json.dumps([source, texts, str(Path(bytecode_worker.__file__).parent)]).encode()
    command = [interpreter, "-S", "-W", "ignore", "-c", program]
    return subprocess.run(command, input=given, env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True).stdout


def test_sets_without_an_order_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Python 3.11 a set with None is written in the order of addresses: such a module has no byte-code."""
    monkeypatch.setattr(bytecode_worker, "SORTS_SETS", False)
    assert bytecode_worker.compiled(b"x in {1, 'a', ('b', 'c')}", "sample.py")
    for source in (b"x in {None, 1}", b"def f(): x in {1, (2, ...)}"):
        with pytest.raises(ValueError, match="addresses"):
            bytecode_worker.compiled(source, "sample.py")


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
