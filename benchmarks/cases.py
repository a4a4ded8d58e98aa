"""What is measured, each case as a user meets it. Both sides take turns, so that a busy minute hits both."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import UnmeasuredError, run
from benchmarks.registry import Registry
from benchmarks.report import Sample
from benchmarks.sides import EXAMPLE, ROOT, Ours, Side, Theirs
from benchmarks.versions import versions

# Of a small package of the example's lock; each run takes the next one.
_PACKAGE = "idna"
_VERSIONS = ("3.20", "3.19", "3.18", "3.17", "3.16", "3.15", "3.14", "3.13", "3.12", "3.11", "3.10")
_LISTINGS = 15
"""How often tasks are listed for one run."""
_LARGE = 512 << 20
"""Bytes; beyond what any layer without a large model has."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Bench:
    """All that a case needs.

    Args:
        ours: `invoke publish`.
        theirs: BentoML and Docker; None where there is no engine.
        registry: of both.
        scratch: a folder for files.
        runs: how often each case is measured.
        model: bytes of the large model.
    """

    ours: Ours
    theirs: Theirs | None
    registry: Registry
    scratch: Path
    runs: int
    model: int

    @property
    def sides(self) -> list[Side]:
        """Those that can be measured."""
        return [self.ours, self.theirs] if self.theirs else [self.ours]

    def warm_up(self) -> None:
        """Have each side published once."""
        for side in self.sides:
            if not side.is_warm:
                side.forget()
                side.publish()

    def turns(self) -> Iterator[tuple[int, Side]]:
        """Each run with each side, which has published before. Gives: the run's number, from 1 on, and the side."""
        self.warm_up()
        yield from ((number, side) for number in range(1, self.runs + 1) for side in self.sides)


def sample(case: str, side: Side, project: str = EXAMPLE) -> Sample:
    """Publish, and keep what that took."""
    values = {name: float(value) for name, value in asdict(side.publish(project)).items()}
    return Sample(case, side.name, values)


def cold(bench: Bench) -> Iterator[Sample]:
    """The first time ever; and the first time where only the base is there, as the other side has it."""
    for _ in range(bench.runs):
        for side in bench.sides:
            side.forget()
            yield sample("cold", side)
        bench.ours.forget()
        bench.ours.have_base(bench.scratch / "base")
        yield sample("cold-base", bench.ours)


def unchanged(bench: Bench) -> Iterator[Sample]:
    """Again, with nothing changed."""
    for _, side in bench.turns():
        yield sample("unchanged", side)


def source(bench: Bench) -> Iterator[Sample]:
    """One line of source changed."""
    for number, side in bench.turns():
        with (side.project() / "src" / "celestial_bodies" / "service.py").open("a", encoding="utf-8") as service:
            service.write(f"# changed {number}\n")
        yield sample("source", side)


def package(bench: Bench) -> Iterator[Sample]:
    """One small package of another version."""
    if bench.runs >= len(_VERSIONS):
        raise UnmeasuredError(f"there are {len(_VERSIONS)} versions of {_PACKAGE}, too few for {bench.runs} runs")
    for number, side in bench.turns():
        requirements = side.project() / "src" / "celestial_bodies" / "requirements.txt"
        _replace(requirements, f"{_PACKAGE}=={_VERSIONS[number - 1]}\n", f"{_PACKAGE}=={_VERSIONS[number]}\n")
        yield sample("package", side)


def second(bench: Bench) -> Iterator[Sample]:
    """The first time for a second service with the same packages."""
    for number, side in bench.turns():
        folder = side.add_project(f"second-{number}")
        shutil.copy(side.project() / "src" / "celestial_bodies" / "requirements.txt", folder / "src/celestial_bodies")
        name = "celestial_bodies_classifier"
        _replace(folder / "src" / "celestial_bodies" / "service.py", f'name="{name}"', f'name="{name}_{number}"')
        yield sample("second", side, folder.name)


def model(bench: Bench) -> Iterator[Sample]:
    """A new large model that does not compress; and hashing it and uploading it, which is the least to be done."""
    # Docker's engine keeps each in its image and in its builder's cache.
    _need("curl", bench.model * (5 + 2 * bench.runs))
    weights = _weights(bench.scratch, bench.model)
    for number, side in bench.turns():
        if side is bench.ours:
            _renew(weights)
            yield _hash_and_upload(bench, weights)
            bench.registry.taken()  # which nobody is to be charged with
            _drop_large(bench.registry.data, bench.model)
        side.add_model(weights, f"large-{number}")
        os.sync()  # else the disk is busy with it while it is published
        yield sample("model", side)
        for folder in (bench.registry.data, side.place):
            _drop_large(folder, bench.model)
    weights.unlink()


def larger_model(bench: Bench) -> Iterator[Sample]:
    """A model of four times the size, on one side and once: whether it takes more memory."""
    _need("curl", bench.model * 4 * 5)
    bench.warm_up()
    weights = _weights(bench.scratch, 4 * bench.model)
    bench.ours.add_model(weights, "larger")
    os.sync()
    yield sample("larger-model", bench.ours)
    weights.unlink()
    for folder in (bench.registry.data, bench.ours.place):
        _drop_large(folder, bench.model)


def listing(bench: Bench) -> Iterator[Sample]:
    """`invoke --list`, against invoke with a tasks file in which there is nothing."""
    empty = bench.scratch / "empty"
    empty.mkdir()
    (empty / "tasks.py").touch()
    command = [sys.executable, "-m", "invoke", "--list"]
    bench.ours.run("invoke", "--list")  # has byte-code made, as it is there for whoever looks a second time
    for _ in range(bench.runs * _LISTINGS):
        for who, folder in ((bench.ours.name, bench.ours.project()), ("empty tasks.py", empty)):
            # invoke ends with 1 where there are no tasks.
            listed = run(command, cwd=folder, env=bench.ours.env, codes=(0, 1))
            yield Sample("list", who, {"seconds": listed.seconds})


CASES: dict[str, Callable[[Bench], Iterator[Sample]]] = {
    "cold": cold,
    "unchanged": unchanged,
    "source": source,
    "package": package,
    "second": second,
    "list": listing,
    "versions": versions,
    "model": model,
    "larger-model": larger_model,
}
"""By the names that --case takes, in an order in which none spoils the next."""


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    if old not in text:
        raise UnmeasuredError(f"{file.relative_to(file.parents[2])} has no {old.strip()}")
    file.write_text(text.replace(old, new), "utf-8")


def _need(program: str, space: int) -> None:
    if not shutil.which(program):
        raise UnmeasuredError(f"{program} is not installed")
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < space:
        raise UnmeasuredError(f"it needs {space / 1e9:.0f} GB on the disk, of which {free / 1e9:.0f} are free")


def _weights(folder: Path, size: int) -> Path:
    """A file of random bytes."""
    path = folder / "weights.bin"
    with path.open("wb") as file:
        for start in range(0, size, _PIECE):
            file.write(os.urandom(min(_PIECE, size - start)))
    return path


def _renew(weights: Path) -> None:
    """Change a file's start, by which all of it is new to whoever hashes it."""
    with weights.open("r+b") as file:
        file.write(os.urandom(64))


def _hash_and_upload(bench: Bench, file: Path) -> Sample:
    """The time of one SHA-256 over a file, and of one upload of it by curl."""
    began = time.monotonic()
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    hashed = time.monotonic() - began
    uploads = f"http://{bench.registry.host}/v2/curl/model/blobs/uploads/"
    curl = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*"]
    started = run([*curl, "--request", "POST", "--dump-header", "-", uploads], cwd=ROOT, env=os.environ)
    [address] = re.findall(r"(?im)^location: *(\S+)", started.output)
    sent = run([*curl, "--upload-file", file, f"{address}&digest=sha256:{digest}"], cwd=ROOT, env=os.environ)
    seconds = {"sha256": hashed, "curl": started.seconds + sent.seconds}
    return Sample("model", "sha256 and curl", {"seconds": sum(seconds.values()), **seconds})


def _drop_large(folder: Path, size: int) -> None:
    """Remove what is as large as the model, so that the disk lasts; but no layer of packages, however small that is."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size >= max(size, _LARGE):
            path.unlink()
