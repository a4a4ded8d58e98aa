"""A task for several projects: each in a process of its own, side by side, with one summary at the end."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentoship.bento.finding import find_projects, name_without_import
from bentoship.commands import terminal as console
from bentoship.errors import BentoshipError, InvalidReferenceError, SettingsError
from bentoship.image.reference import ImageReference
from bentoship.project import Project
from bentoship.settings import Settings, load
from bentoship.stores.history import History
from bentoship.system import process
from bentoship.system.text import counted

_EVERY = 0.05
"""Seconds between two looks at the processes."""

_PATIENCE = 2.0
"""Seconds that they get to end after Ctrl-C."""

_STOPPED = frozenset({130, 143, -15})
"""The exit codes of a process that was stopped."""

_PUBLISHING = frozenset({"push", "publish"})
_OF_IMAGES = _PUBLISHING | {"containerize", "tag", "verify", "plan"}
"""The tasks that are about an image by its name in the registry."""


@dataclass(eq=False)
class _Part:
    """A task for one project.

    Args:
        folder: the project.
        name: the folder as a person would write it here.
        pushes: what had been pushed before.
    """

    folder: Path
    name: str
    pushes: frozenset[tuple[str, str]] = frozenset()
    began: float = 0.0
    seconds: float = 0.0
    code: int | None = None
    result: str = ""
    printed: list[str] = field(default_factory=list)
    running: process.Running | None = None

    @property
    def reference(self) -> ImageReference | None:
        """Return the image that is its result, if that is one."""
        with contextlib.suppress(InvalidReferenceError):
            return ImageReference.parse(self.result.strip()) if "@sha256:" in self.result else None
        return None

    @property
    def failure(self) -> str:
        """Return why it failed: its error's first line, else the last that it printed."""
        errors = [line for line in self.printed if line.startswith("Error: ")]
        last = [line for line in (*self.result.splitlines(), *self.printed) if len(line.split()) > 1][-1:]
        return " ".join((errors or last or [f"exit code {self.code}"])[-1].removeprefix("Error: ").split())


def find(tops: Sequence[Path]) -> list[Path]:
    """Return the folders with a service in some folders and below them, and print them.

    Raises: BentoshipError when there are none.
    """
    found = list(dict.fromkeys(project for top in tops for project in find_projects(top.resolve())))
    if not found:
        where = " or ".join(map(_shown, tops))
        hint = (
            "It is one with a bentofile.yaml, [tool.bentoml.build] in a pyproject.toml, or a service in a service.py."
        )
        raise BentoshipError("Find the projects", f"no folder in {where} has a BentoML service", hint)
    console.say("projects", f"{counted(len(found), 'folder')} with a service")
    console.table([(_shown(folder),) for folder in found])
    return found


def run(task: str, folders: Sequence[Path], command: Callable[[Path], Sequence[str]], *, as_json: bool) -> int:
    """Run a task for several projects, and print their lines as they come, then a summary and their results.

    A project that fails does not stop the others. When this is stopped, all end, and what there is is printed.

    Args:
        task: its name.
        folders: the projects, each with a service.
        command: returns the command line that runs it for one.
        as_json: whether the results are JSON, of which one list is made.

    Returns: the exit code: 0 if all have succeeded, that of the failed ones if it is the same for all of them, else 1.

    Raises: SettingsError when two projects have the same image.
    """
    parts = [_Part(folder, _shown(folder)) for folder in folders]
    settings = _settings(parts)
    if task in _OF_IMAGES:
        _refuse_same_images(settings)
    for part, own in settings:
        part.pushes = History(own.cache / "history").pushes()
    began = time.monotonic()
    try:
        _run_all(parts, command)
    finally:
        _summarize(task, parts, time.monotonic() - began)
        _print_results(parts, as_json=as_json)
    codes = {part.code for part in parts if part.code}
    return (codes.pop() or 1) if len(codes) == 1 else min(len(codes), 1)


def _shown(folder: Path) -> str:
    return os.path.relpath(folder)


def _settings(parts: Sequence[_Part]) -> list[tuple[_Part, Settings]]:
    """Return the settings of the projects that have valid ones; the processes of the others report what is wrong."""
    found = []
    for part in parts:
        with contextlib.suppress(BentoshipError):
            found.append((part, load(part.folder)))
    return found


def _refuse_same_images(settings: Sequence[tuple[_Part, Settings]]) -> None:
    """Raise SettingsError when one project's image would replace another's, as far as their files say it."""
    owners: dict[tuple[str, object, str], list[str]] = {}
    for part, own in settings:
        project = Project(part.folder, own)
        with contextlib.suppress(BentoshipError):  # its own process reports it
            name = project.image_name(own.image_name or name_without_import(project.build_context))
            place = own.google.host if own.registry == "google" else str(own.registry)
            owners.setdefault((place, own.local_registry_port, name), []).append(part.name)
    same = [
        f"{', '.join(names)} would each be {name} in the registry {place}, and one would replace the other"
        for (place, _, name), names in owners.items()
        if name and len(names) > 1
    ]
    if same:
        hint = "Set another IMAGE_NAME in the .env of each, or another name in its configuration."
        raise SettingsError("Name the images", "; ".join(same), hint, mistakes=same)


def _run_all(parts: Sequence[_Part], command: Callable[[Path], Sequence[str]]) -> None:
    """Run the task for each project in a process, as many at once as this machine has processors, but at least two."""
    width = max(len(part.name) for part in parts)
    jobs = max(2, os.cpu_count() or 1)
    waiting, running = deque(parts), list[_Part]()
    with contextlib.ExitStack() as stack:
        # This process is the publisher's own, as this one is: it gets all variables.
        env = process.environment(prefixes=[""])
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    part = waiting.popleft()
                    part.began = time.monotonic()
                    started = process.background(command(part.folder), env=env, patience=process.OWN_PATIENCE)
                    part.running = stack.enter_context(started)
                    running.append(part)
                for part in running:
                    _follow(part, width)
                running = [part for part in running if part.code is None]
                time.sleep(_EVERY)
        except BaseException:
            _end(running)
            raise


def _follow(part: _Part, width: int) -> None:
    """Print what a process has written to stderr since, in whole lines, and note its end."""
    if part.running is None:
        return
    code = part.running.child.poll()
    lines = part.running.complaints.split("\n")
    last = lines.pop()
    if code is not None and last:
        lines.append(last)
    for line in lines[len(part.printed) :]:
        console.say(part.name, line, width=width)
    part.printed = lines
    _note_end(part)


def _note_end(part: _Part) -> None:
    if part.running and part.running.child.returncode is not None:
        part.code, part.result = part.running.child.returncode, part.running.output
        part.seconds = time.monotonic() - part.began


def _end(running: Sequence[_Part]) -> None:
    """End processes, all at once, and note those that have done their task even so."""
    children = [part.running.child for part in running if part.running]
    for child in children:
        child.terminate()
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and any(child.poll() is None for child in children):
        time.sleep(_EVERY)
    for part in running:
        _note_end(part)


def _summarize(task: str, parts: Sequence[_Part], seconds: float) -> None:
    """Print a line for each project: what became of it, how long that took, and its image or its failure."""
    rows = []
    for part in parts:
        state = _state(task, part)
        text = part.failure if state == "failed" else str(part.reference or "")
        rows.append((part.name, state, f"{part.seconds:.1f} s" if part.code is not None else "", text))
    console.say("summary", f"{counted(len(parts), 'project')} in {seconds:.1f} s")
    console.table(rows)


def _state(task: str, part: _Part) -> str:
    """Return what became of a project, in a word."""
    is_published = task in _PUBLISHING and part.reference
    is_stopped = part.code is None or part.code in _STOPPED
    if is_stopped and not is_published:  # a process may be stopped when all is done
        return "stopped" if part.running else "not begun"
    if part.code and not is_stopped:
        return "failed"
    if not part.reference or not is_published:
        return "done"
    return "unchanged" if History.push_of(part.reference) in part.pushes else "published"


def _print_results(parts: Sequence[_Part], *, as_json: bool) -> None:
    """Print on stdout what the projects' processes have, in the order of the projects."""
    if as_json:
        console.result_as_json([_document(part) for part in parts])
        return
    width = max(len(part.name) for part in parts)
    for part in parts:
        lines = part.result.splitlines()
        if len(lines) == 1:  # for a script, such as a reference
            console.result(lines[0])
        else:
            for line in lines:
                console.say(part.name, line, to=sys.stdout, width=width)


def _document(part: _Part) -> Any:
    """Return a project's JSON, with its folder; or why there is none."""
    try:
        document = json.loads(part.result)
    except ValueError:
        return {"project": part.name, "error": part.failure}
    return {"project": part.name, **document} if isinstance(document, dict) else document
