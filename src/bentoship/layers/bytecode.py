"""Byte-code for an image: made when it is assembled, since the user that runs it may not write beside the source."""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from bentoship.errors import ProcessError
from bentoship.system import process, sandbox
from bentoship.system.progress import SILENT, State, StepReporter
from bentoship.system.values import dataclass

_WORKER = Path(__file__).with_name("bytecode_worker.py")

_SECONDS = 3600
"""How long a worker may run."""

_LARGEST = 1 << 28
"""Bytes of byte-code that a file may have."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can be run here.

    Args:
        args: the beginning of its command line; a script and its arguments follow.
        env: its whole environment.
        root: the folder that is the root of the foreign system that it is of; None for one of this machine, which is
            trusted.
    """

    args: tuple[str, ...]
    env: Mapping[str, str]
    root: Path | None = None

    def start(self, script: str) -> tuple[list[str], str]:
        """Return the command that runs a script, in a sandbox if this Python is foreign, and what it reads before."""
        args = (*self.args, "-c", script)
        if self.root is None:
            return list(args), ""
        below = f"{self.root}/"
        box = sandbox.Sandbox(
            self.root,
            (*(arg.replace(below, "/") for arg in self.args), "-c", script),
            {name: value.replace(below, "/") for name, value in self.env.items()},
            owner=sandbox.unprivileged_id(),
            ways=(sandbox.NAMESPACES, sandbox.CHROOT, sandbox.PLAIN),
            plain=(args, self.env),
            read_only=True,
            memory=sandbox.available_memory(),
            seconds=_SECONDS,
        )
        return box.start()


@dataclass(frozen=True)
class Batch:
    """Python files in one folder, at any depth.

    Args:
        folder: where it is on this machine.
        at: where it is in the image.
        files: the files, their paths on this machine.
    """

    folder: Path
    at: PurePosixPath
    files: tuple[Path, ...]


def compile_trees(
    python: Interpreter,
    batches: Iterable[Batch],
    *,
    jobs: int,
    title: str = "compiling",
    reporter: StepReporter = SILENT,
) -> None:
    """Put byte-code beside every Python file, the same wherever and whenever it is made.

    A file that is not Python of this version (a template, Python 2) is skipped.

    Args:
        python: a Python of the image's minor version.
        batches: what to compile; existing byte-code is replaced.
        jobs: how many processes share the work.
        title: what is compiled, for people: "compiling 72 packages".
        reporter: receives the progress.

    Raises:
        ProcessError: the interpreter failed, or wrote something else.
    """
    files = [
        (path.stat().st_size, path, str(batch.at / path.relative_to(batch.folder).as_posix()))
        for batch in batches
        for path in batch.files
    ]
    shares = _shares(files, jobs)

    def watching(workers: Sequence[process.Running]) -> AbstractContextManager[object]:
        def state() -> State:
            # Each writes a letter for each file.
            return State(title, sum(len(worker.complaints) for worker in workers), len(files), "files")

        return reporter.task(title, measure=state)

    command, described = python.start(_WORKER.read_text("utf-8"))
    process.run_together(
        command,
        [b"".join((described.encode(), *_framed(share))) for share in shares],
        env=python.env if python.root is None else {},
        cwd=python.root or Path("/"),
        finish=lambda number, output: _write(shares[number], output),
        watching=watching,
    )


Share = Sequence[tuple[Path, str]]
"""Source files, each with the path that tracebacks shall show."""


def _shares(files: Iterable[tuple[int, Path, str]], number: int) -> list[Share]:
    """Return the files, in shares of about the same size: the largest first, each to the share that has least."""
    shares: list[list[tuple[Path, str]]] = [[] for _ in range(number)]
    loads = [0] * number
    for size, path, shown in sorted(files, reverse=True):
        least = loads.index(min(loads))
        loads[least] += size
        shares[least].append((path, shown))
    return [share for share in shares if share]


def _framed(share: Share) -> Iterator[bytes]:
    """Yield what a worker reads, as it describes it."""
    for path, shown in share:
        name, source = shown.encode("utf-8", "surrogatepass"), path.read_bytes()
        yield struct.pack("<II", len(name), len(source))
        yield name
        yield source


def _write(share: Share, output: IO[bytes]) -> None:
    """Write the byte-code that a worker has made. Raises ProcessError when that is none."""
    tag = _frame(output).decode("ascii", "replace")
    if not re.fullmatch(r"[a-z]+-\d+", tag):
        raise ProcessError("Compile Python files", f"{tag!r} is no name of an interpreter")
    for path, _ in share:
        if content := _frame(output):
            target = path.parent / "__pycache__" / f"{path.name.rpartition('.')[0]}.{tag}.pyc"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)


def _frame(stream: IO[bytes]) -> bytes:
    """Return the next content that a worker has written, after its length. Raises ProcessError when it is cut off."""
    (size,) = struct.unpack("<I", stream.read(4).ljust(4, b"\xff"))
    content = stream.read(min(size, _LARGEST))
    if len(content) != size:
        raise ProcessError("Compile Python files", "the interpreter of the base wrote something else than byte-code")
    return content
