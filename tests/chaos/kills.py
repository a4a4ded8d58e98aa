"""Publishes that are killed at random moments, each followed by one that is left alone."""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support import registry as registries
from tests.support.bento import edit, make_project, save_model
from tests.support.site import Site

ROOT = Path(__file__).parents[2]

SHARES = {"empty caches": 1, "model": 6, "changed line": 8, "unchanged": 5}
"""From which states publishes are killed, and how many of twenty each."""

_WEIGHTS = 24_000_000
"""Bytes of the model's file, so that its import takes a while."""

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 5.0
"""Seconds after which nothing of a killed publish may run any more."""


@dataclass(frozen=True)
class Undisturbed:
    """What a publish is that is left alone: its digest, how long it takes, and the bytes that it leaves."""

    digest: str
    seconds: float
    bytes: Mapping[str, int]


@dataclass
class Outcome:
    """What became of some kills.

    Args:
        kills: how many there were; those of a publish that had ended are not counted.
        succeeded: how many next publishes succeeded.
        same: how many of those gave the digest of an undisturbed one.
        orphans: processes of killed publishes that still ran after 5 s.
        left: bytes in TMPDIR, in the caches and in uv's cache that an undisturbed run does not leave.
        failures: what the next publishes that failed said.
    """

    kills: int = 0
    succeeded: int = 0
    same: int = 0
    orphans: list[str] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Lab:
    """A small project with a model, its caches, and the states from which it is published.

    Args:
        folder: an empty one.
        registry: the host of a registry.
        uv_cache: uv's cache, when it is shared; else there is one in the folder.
        cache: has what caches begin with, such as links to the bases that other tests have made.
    """

    def __init__(self, folder: Path, registry: str, *, uv_cache: Path | None = None, cache: Path | None = None) -> None:
        self.folder = folder
        self._state, self._saved = folder / "state", folder / "saved"
        self._begin = cache
        uv = uv_cache or folder / "uv"
        settings = {
            "TMPDIR": f"{folder}/tmp",
            "BENTOML_HOME": f"{self._state}/bentoml",
            "REGISTRY": f"{registry}/kills",
        }
        self.site = Site(
            self._state / "project",
            self._state / "home",
            self._state / "cache",
            {**settings, "UV_CACHE_DIR": str(uv), "CACHE_LIMIT": "off"},
        )
        self.places = {
            "TMPDIR": folder / "tmp",
            "caches": self._state,
            "uv's cache": uv if not uv_cache else folder / "no",
        }
        self.undisturbed: dict[str, Undisturbed] = {}

    def prepare(self, *kinds: str) -> None:
        """Publish once, and once more from each state, without killing it."""
        for name in ("tmp", "state/home", "state/cache/bentoship", "apt"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        make_project(self.site.folder, model=True)
        shutil.copy(ROOT / "tasks.py", self.site.folder)
        _archive(self.folder, self.site.folder / "model" / "echo.bentomodel")
        own = self.site.cache / "bentoship"
        for place in self._begin.iterdir() if self._begin else [self.folder / "apt"]:
            (own / place.name).symlink_to(place)
        self.publish("first")
        _copy(self._state, self._saved)
        for kind in kinds:
            self.enter(kind)
            began = time.monotonic()
            digest = self.publish(f"undisturbed-{kinds.index(kind)}")
            self.undisturbed[kind] = Undisturbed(digest, time.monotonic() - began, self.bytes())

    def enter(self, kind: str) -> None:
        """Go back to the state after the first publish, and make it the one of a kind."""
        shutil.rmtree(self._state)
        _copy(self._saved, self._state)
        own = self.site.cache / "bentoship"
        if kind == "changed line":
            edit(self.site.folder / "service.py", "return text", "return text + '!'")
        elif kind != "unchanged":
            for place in (self._state / "bentoml", self.site.folder / ".bentoship", own / "bentos"):
                shutil.rmtree(place)
        if kind == "empty caches":
            for place in own.iterdir():
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)

    def publish(self, name: str) -> str:
        """Publish to its end, and return the digest. Raises: RuntimeError with what it said, when it fails."""
        done = self.site.invoke("publish", IMAGE_NAME=name)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip().partition("@")[2]

    def start(self, name: str) -> psutil.Popen:
        """Begin to publish."""
        return psutil.Popen(
            [sys.executable, "-m", "invoke", "publish"],
            cwd=self.site.folder,
            env={**self.site.env, "IMAGE_NAME": name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def is_importing(self) -> bool:
        """Whether the model is being imported."""
        return any((self._state / "bentoml" / "bentoship").glob("import-*"))

    def bytes(self) -> dict[str, int]:
        """The bytes of all files by place; those with several names count once."""
        return {name: _bytes(place) for name, place in self.places.items()}


@dataclass(frozen=True)
class Killer:
    """Kills publishes, and sees what becomes of the next ones.

    Args:
        lab: where they are.
        chances: of the moments.
        orphans: returns what still runs of publishes.
        outcome: gets what is seen.
    """

    lab: Lab
    chances: random.Random
    orphans: Callable[[], list[str]]
    outcome: Outcome

    def kill(self, kind: str, number: int) -> bool:
        """Kill a publish at a random moment, and publish again. Returns: whether there was something to kill.

        Args:
            kind: the state that both begin from.
            number: of the kill; every other model is killed while it is imported, and every other time all processes
                are killed at once.
        """
        lab, outcome = self.lab, self.outcome
        lab.enter(kind)
        expected, name = lab.undisturbed[kind], f"kill-{number}"
        child = lab.start(name)
        began = time.monotonic()
        if kind == "model" and number % 2:
            while not lab.is_importing() and child.poll() is None:
                time.sleep(0.005)
            time.sleep(self.chances.uniform(0, 0.4))
        else:
            time.sleep(self.chances.uniform(0, expected.seconds))
        if child.poll() is not None:
            return False
        moment = time.monotonic() - began
        _kill(child, everything=number % 4 < 2)
        killed = time.monotonic()
        outcome.kills += 1
        try:
            digest = lab.publish(name)
            outcome.succeeded += 1
            outcome.same += digest == expected.digest
        except RuntimeError as error:
            outcome.failures.append(f"{kind}, killed after {moment:.2f} s: {error}")
        while self.orphans() and time.monotonic() < killed + _PATIENCE:
            time.sleep(0.05)
        outcome.orphans += self.orphans()
        for place, size in lab.bytes().items():
            outcome.left[place] = max(outcome.left.get(place, 0), size - expected.bytes[place])
        return True


def kills(lab: Lab, kinds: Sequence[str], chances: random.Random) -> Outcome:
    """Kill a publish of each kind in turn."""
    outcome, number = Outcome(), 0
    with adopting() as orphans:
        killer = Killer(lab, chances, orphans, outcome)
        for kind in kinds:
            while not killer.kill(kind, number):
                number += 4  # another image's name; what is killed stays the same
            number += 1
    return outcome


def report(options: argparse.Namespace) -> None:
    """Kill publishes, and print what became of the next ones."""
    shares = [kind for kind, share in SHARES.items() for _ in range(share)]
    chances = random.Random(options.seed)
    kinds = [shares[number % len(shares)] for number in range(options.kills)]
    chances.shuffle(kinds)
    print("\nkills")
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        registries.running(Path(folder, "registry")) as registry,
    ):
        lab = Lab(Path(folder, "lab"), registry.host)
        lab.prepare(*SHARES)
        print(f"{'from':<14} {'kills':>5} {'next ok':>7} {'same':>5} {'orphans':>7}  {'left-over bytes, at most'}")
        for kind in SHARES:
            outcome = kills(lab, [one for one in kinds if one == kind], chances)
            left = ", ".join(f"{size} in {place}" for place, size in outcome.left.items())
            figures = f"{outcome.kills:>5} {outcome.succeeded:>7} {outcome.same:>5} {len(outcome.orphans):>7}"
            print(f"{kind:<14} {figures}  {left}", flush=True)
            for line in (*outcome.failures, *outcome.orphans):
                print(f"  {line}", flush=True)


@contextmanager
def adopting() -> Iterator[Callable[[], list[str]]]:
    """Become the parent of descendants whose own parent ends, so that none gets out of sight.

    Yields: a function that returns those that were started since and still run, as command lines.
    """
    libc, here = ctypes.CDLL(None), psutil.Process()
    before = {child.pid for child in here.children()}

    def orphans() -> list[str]:
        found = []
        for process in here.children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if process.pid in before:
                    continue
                if process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)
                else:
                    found += [" ".join(one.cmdline()) for one in (process, *process.children(recursive=True))]
        return found

    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield orphans
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _kill(child: psutil.Popen, *, everything: bool) -> None:
    """Kill a process; with everything, at the same moment all that it has started."""
    if everything:
        with suppress(psutil.NoSuchProcess):
            child.suspend()  # so that it starts nothing meanwhile
            for one in child.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
    child.kill()
    child.wait()


def _archive(folder: Path, file: Path) -> None:
    """Export a model with a file that takes a while to import."""
    save_model(folder / "saving", "one")
    model = folder / "saving" / "models" / "echo_model" / "one"
    (model / "weights.bin").write_bytes(random.Random(1).randbytes(_WEIGHTS))
    file.parent.mkdir()
    with tarfile.open(file, "w:gz", compresslevel=1) as members:
        members.add(model, ".")


def _copy(source: Path, target: Path) -> None:
    """Copy a state; files have both names, since none is ever written to in its place."""
    subprocess.run(["cp", "--archive", "--link", source, target], check=True)
    shutil.rmtree(target / "project")
    subprocess.run(["cp", "--archive", source / "project", target / "project"], check=True)


def _bytes(folder: Path) -> int:
    files = {}
    for below, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                info = Path(below, name).lstat()
                files[info.st_ino] = info.st_size
    return sum(files.values())
