"""Byte-code for an image: made when it is assembled, since the user that runs it may not write beside the source."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bentoship.system import process
from bentoship.system.progress import SILENT, State, StepReporter

_WORKER = Path(__file__).with_name("bytecode_worker.py")


@dataclass(frozen=True)
class Interpreter:
    """A Python that can be run here.

    Args:
        args: the beginning of its command line; a script and its arguments follow.
        env: its whole environment.
    """

    args: tuple[str, ...]
    env: Mapping[str, str]


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
        ProcessError: the interpreter failed.
    """
    files = [
        (path.stat().st_size, str(path.absolute()), str(batch.at / path.relative_to(batch.folder).as_posix()))
        for batch in batches
        for path in batch.files
    ]
    shares = [json.dumps(share) for share in _shares(files, jobs)]

    def watching(workers: Sequence[process.Running]) -> AbstractContextManager[object]:
        def state() -> State:
            # Each writes a letter for each file.
            return State(title, sum(len(worker.output) for worker in workers), len(files), "files")

        return reporter.task(title, measure=state)

    process.run_together([*python.args, _WORKER], shares, env=python.env, cwd=Path("/"), watching=watching)


def _shares(files: Sequence[tuple[int, str, str]], number: int) -> list[list[tuple[str, str]]]:
    """Return the files, in shares of about the same size: the largest first, each to the share that has least."""
    shares: list[list[tuple[str, str]]] = [[] for _ in range(number)]
    loads = [0] * number
    for size, path, shown in sorted(files, reverse=True):
        least = loads.index(min(loads))
        loads[least] += size
        shares[least].append((path, shown))
    return [share for share in shares if share]
