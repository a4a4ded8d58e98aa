"""A task for several projects, with small programs in the place of tasks."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bentoship.commands import several
from bentoship.errors import SettingsError
from bentoship.image.reference import ImageReference
from bentoship.stores.history import History
from tests.support.bento import make_project

DIGEST = f"sha256:{'1' * 64}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two projects, named from the folder that they are in, and a cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("a", "long"):
        (tmp_path / name).mkdir()
    return tmp_path


def running(code: str) -> Callable[[Path], list[str]]:
    """Return what makes a command line that runs a program, in which `name` is the project's."""
    return lambda folder: [sys.executable, "-c", f"import os, sys, time\nname = {folder.name!r}\n{code}"]


def summary(text: str) -> list[list[str]]:
    """Return the words of the lines of the summary."""
    return [line.split() for line in text.partition("summary ")[2].splitlines()[1:]]


def test_lines_name_their_project(capsys: pytest.CaptureFixture[str]) -> None:
    """In a column, as they come; what is no text and has no end, too. A result of one line stands alone, in order."""
    code = (
        "sys.stderr.buffer.write(b'one\\n\\xfftwo\\n\\x1b')\n"
        "time.sleep(0.3 if name == 'a' else 0)\n"
        "print(name)\n"
        "if name == 'a': print('more')\n"
    )
    assert several.run("plan", [Path("a"), Path("long")], running(code), as_json=False) == 0
    out, err = capsys.readouterr()
    assert out == "a    a\na    more\nlong\n"
    lines = err.splitlines()
    assert [line for line in lines if line.startswith("a    ")] == ["a    one", "a    \ufffdtwo", "a    \\x1b"]
    assert [line for line in lines if line.startswith("long ")] == ["long one", "long \ufffdtwo", "long \\x1b"]
    assert lines[-3].startswith("summary         2 projects in ")
    assert [row[:2] for row in summary(err)] == [["a", "done"], ["long", "done"]]


def test_one_that_fails_does_not_stop_the_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary says why, and what became of the others: published, or as it was before."""
    image = ImageReference.parse(f"localhost:5000/same@{DIGEST}")
    History(here / "cache" / "bentoship" / "history").keep_push(image, DIGEST, [], 0, 0)
    (here / "same").mkdir()
    code = (
        "if name == 'a':\n"
        "    sys.exit('Error: Build it: it is broken\\nMend it.')\n"
        f"print(f'localhost:5000/{{name}}@{DIGEST}')\n"
    )
    assert several.run("publish", [Path("a"), Path("long"), Path("same")], running(code), as_json=False) == 1
    out, err = capsys.readouterr()
    assert out == f"localhost:5000/long@{DIGEST}\nlocalhost:5000/same@{DIGEST}\n"
    a, long, same = summary(err)
    assert (a[:2], " ".join(a[4:])) == (["a", "failed"], "Build it: it is broken")
    assert (long[1], long[4], same[1]) == ("published", f"localhost:5000/long@{DIGEST}", "unchanged")


@pytest.mark.parametrize(("codes", "expected"), [((0, 3), 3), ((3, 3), 3), ((1, 3), 1), ((0, 0), 0)])
def test_the_exit_code_is_that_of_all_that_failed(codes: tuple[int, int], expected: int) -> None:
    """If it is the same, such as 3 where nothing can verify an image here; else 1."""
    code = f"sys.exit({codes[0]} if name == 'a' else {codes[1]})"
    assert several.run("verify", [Path("a"), Path("long")], running(code), as_json=False) == expected


def test_json_is_one_list(capsys: pytest.CaptureFixture[str]) -> None:
    """In which each project names its folder; one that has failed says why, unless its document says so."""
    code = "if name == 'a':\n    sys.exit('Error: Plan it: no')\nprint('{\"ready\": false}')\nsys.exit(1)\n"
    assert several.run("plan", [Path("a"), Path("long")], running(code), as_json=True) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"project": "a", "error": "Plan it: no"},
        {"project": "long", "ready": False},
    ]


def test_stopping_ends_all_and_reports_what_is_published(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At once; those that wait for a processor do not begin."""
    jobs = max(2, os.cpu_count() or 1)
    names = ["a", *(f"slow{number}" for number in range(jobs)), "last"]
    code = (
        "if name == 'a':\n"
        f"    print('localhost:5000/a@{DIGEST}')\n"
        "else:\n"
        "    print(os.getpid(), file=open(f'{name}.new', 'w'), flush=True)\n"
        "    os.rename(f'{name}.new', f'{name}.pid')\n"
        "    time.sleep(60)\n"
    )

    def stop() -> None:
        while len(list(here.glob("slow*.pid"))) < jobs:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR1)

    # As for SIGINT, which other tests of this process may have a handler for.
    former = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    stopper = threading.Thread(target=stop)
    stopper.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        several.run("publish", [here / name for name in names], running(code), as_json=False)
    assert time.monotonic() - began < 15
    stopper.join()
    signal.signal(signal.SIGUSR1, former)
    out, err = capsys.readouterr()
    assert out == f"localhost:5000/a@{DIGEST}\n"
    rows = summary(err)
    assert [row[1] for row in rows] == ["published", *["stopped"] * jobs, "not"]
    for file in here.glob("slow*.pid"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text("utf-8")), 0)


def test_two_projects_with_one_image_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is done, by their services' names or by IMAGE_NAME; not if they go to different registries."""
    folders = [here / "one", here / "two"]
    for folder in folders:
        make_project(folder)

    def attempt(task: str) -> int:
        return several.run(task, folders, running("print(name)"), as_json=False)

    with pytest.raises(SettingsError, match=r"Name the images: one, two would each be echo in the registry local, "):
        attempt("publish")
    assert capsys.readouterr() == ("", "")
    assert attempt("doctor") == 0
    (here / "two" / ".env").write_text("REGISTRY=ghcr.io/acme\n", "utf-8")
    assert attempt("publish") == 0
    (here / "two" / ".env").write_text("IMAGE_NAME=another\n", "utf-8")
    assert attempt("publish") == 0
    monkeypatch.setenv("IMAGE_NAME", "both")
    with pytest.raises(SettingsError, match=r"one, two would each be both"):
        attempt("plan")
