"""A folder in which one may clear up only while nobody else uses it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bentoship.system.sharing import SharedFolder

_USER = """
use = SharedFolder(Path(sys.argv[1]))
print("cleared" if Path(sys.argv[1], "cleared").exists() else "begun", flush=True)
sys.stdin.read()
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """Begin to use the folder in another process, until its stdin is closed."""
    imports = f"import sys\nsys.path[:0] = {sys.path!r}\nfrom pathlib import Path\n"
    script = f"{imports}from bentoship.system.sharing import SharedFolder\n{_USER}"
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def another_user(folder: Path) -> Iterator[None]:
    """Another process uses the folder while the block lasts."""
    with start(folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        yield
        process.communicate("")


def test_who_uses_it_alone_is_told_so(tmp_path: Path) -> None:
    """Also the second time, and in a folder that is yet to be made."""
    use = SharedFolder(tmp_path / "folder")
    for _ in range(2):
        with use.alone() as is_alone:
            assert is_alone


def test_nobody_is_alone_beside_another_process(tmp_path: Path) -> None:
    """Once that has ended, one is."""
    use = SharedFolder(tmp_path)
    with another_user(tmp_path), use.alone() as is_alone:
        assert not is_alone
    with use.alone() as is_alone:
        assert is_alone


def test_the_use_goes_on_after_an_attempt_to_be_alone(tmp_path: Path) -> None:
    """Whether that was granted or not: others still see it."""
    first = SharedFolder(tmp_path)
    with first.alone() as is_alone:
        assert is_alone
    second = SharedFolder(tmp_path)
    for use in (first, second, first):
        with use.alone() as is_alone:
            assert not is_alone


def test_who_begins_meanwhile_waits(tmp_path: Path) -> None:
    """Nothing is cleared up under the hands of one who has just begun."""
    with SharedFolder(tmp_path).alone() as is_alone:
        assert is_alone
        process = start(tmp_path)
        time.sleep(0.5)
        (tmp_path / "cleared").touch()
    assert process.communicate("")[0] == "cleared\n"
