"""The Python packages of an image: installed by uv for the image's platform, and laid out as a virtual environment."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bentoship.packages.folders import refreshing
from bentoship.packages.indexes import indexes_of, naming_indexes
from bentoship.packages.installed import clashing, faulty_files, module_folders
from bentoship.packages.requirements import (
    canonical_name,
    hashes,
    local_file,
    options_for_uv,
    paths_start,
)
from bentoship.packages.resolving import checked, for_python, selection
from bentoship.packages.target import Target
from bentoship.packages.uv_settings import calling_uv, local_folders, uv_program
from bentoship.packages.uv_waiting import ended
from bentoship.system.files import temporary_folder
from bentoship.system.process import Running, background
from bentoship.system.progress import SILENT, State, StepReporter
from bentoship.system.text import counted
from bentoship.system.values import dataclass


@contextmanager
def installing(
    bento: Path, locked: Sequence[str], target: Target, into: Path, *, cached: bool = True
) -> Iterator[Installation]:
    """Install a lock for the target, as `uv pip install --prefix` does, while something else is done.

    Args:
        bento: the Bento's folder: what its lock names by path, and where it says packages are downloaded.
        locked: requirement lines.
        target: what they have to run on.
        into: an empty folder.
        cached: whether uv may take them from its cache.
    """
    # What is to be built has been, and its wheel stands in the lock.
    options = [line for line in options_for_uv(bento) if not line.startswith("--no-binary")]
    source = "\n".join([*options, *locked])
    args = ["pip", "install", "-r", "-", "--prefix", str(into), "--no-deps", "--no-compile-bytecode"]
    args += ["--require-hashes"] if locked and all(map(hashes, locked)) else []
    args += [] if cached else ["--no-cache"]
    module_folders(into)[0].mkdir(parents=True)
    start = paths_start(bento)
    args += refreshing(local_folders(options, start))
    with (
        calling_uv(start, source, indexes := indexes_of(bento)) as env,
        naming_indexes(indexes, source, args) as named,
        background(
            [uv_program(), *for_python([*args, *named, *selection(target)])], env=env, cwd=start, input=source
        ) as uv,
    ):
        yield Installation(uv, target, into, len(locked))


def install_for(
    bento: Path, locked: Sequence[str], target: Target, environment: Path, reporter: StepReporter = SILENT
) -> None:
    """Install a lock into a virtual environment of this machine.

    Args:
        bento: as for `installing`.
        locked: requirement lines.
        target: what they were locked for, which is this machine.
        environment: its folder.
        reporter: receives the progress.

    Raises: PackagesError when one has no wheel, or cannot be downloaded.
    """
    source, start = "\n".join([*options_for_uv(bento), *locked]), paths_start(bento)
    command = [uv_program(), "pip", "install", "-r", "-", "--python", str(environment / "bin" / "python"), "--no-deps"]
    command += ["--no-compile-bytecode", "--only-binary", ":all:"]
    command += ["--require-hashes"] if locked and all(map(hashes, locked)) else []
    with (
        calling_uv(start, source, indexes := indexes_of(bento)) as env,
        naming_indexes(indexes, source, command) as named,
        background([*command, *named], env=env, cwd=start, input=source) as uv,
    ):
        installation = Installation(uv, target, environment, len(locked))
        title = f"installing {counted(len(locked), 'package')} to import the service"
        with reporter.task(title, measure=installation.state, ended=installation.has_ended):
            installation.finish()


@dataclass(frozen=True)
class Installation:
    """Packages that uv is installing.

    Args:
        uv: its process.
        target: what they have to run on.
        into: the folder that they get into.
        number: how many there are.
    """

    uv: Running
    target: Target
    into: Path
    number: int

    def finish(self) -> None:
        """Wait until they are installed. Raises PackagesError when one has no wheel, or cannot be downloaded."""
        checked(ended(self.uv), self.target)
        (self.into / ".lock").unlink(missing_ok=True)

    def state(self) -> State:
        """Return how far uv has come."""
        from bentoship.packages.uv_output import install_state  # mostly nothing is installed

        modules = self.into / "lib" / f"python{self.target.python}" / "site-packages"  # of a virtual environment
        place = modules if modules.is_dir() else module_folders(self.into)[0]
        return install_state(self.uv.complaints, place, self.number)

    def has_ended(self) -> bool:
        """Return whether they are installed."""
        return self.uv.has_succeeded


@dataclass(frozen=True)
class Staged:
    """Packages on their way into a folder.

    Args:
        lines: those of a lock that they stand for.
        folders: waits until they are installed, and gives their folders, by the lines in each. Raises PackagesError.
    """

    lines: Sequence[str]
    folders: Callable[[], Mapping[tuple[str, ...], Path]]


@contextmanager
def staging(
    bento: Path, lines: Sequence[str], target: Target, scratch: Path, reporter: StepReporter
) -> Iterator[Staged]:
    """Install packages while something else is done; their folders go with the block.

    Args:
        bento: the Bento's folder.
        lines: of its lock.
        target: what they have to run on.
        scratch: a folder for the folders.
        reporter: receives the progress.
    """
    # Files with the same path would overwrite each other, and a wheel that is named by its path may be called anything.
    named = [line for line in lines if canonical_name(line) and not local_file(line, paths_start(bento))]
    title = f"installing {counted(len(lines), 'package')} for {target.platform}"
    with temporary_folder(scratch, "packages-") as folder, ExitStack() as stack:
        common = folder / "common"
        common.mkdir()
        installation = stack.enter_context(installing(bento, named, target, common)) if named else None
        if installation:
            stack.enter_context(reporter.task(title, measure=installation.state, ended=installation.has_ended))

        @functools.cache
        def folders() -> Mapping[tuple[str, ...], Path]:
            if installation:
                installation.finish()
            clashes, faults = clashing(common), faulty_files(common)
            apart = [
                line
                for line in lines
                if line not in named or clashes is None or canonical_name(line) in clashes | faults.keys()
            ]
            found = {tuple(line for line in named if line not in apart): common}
            with reporter.task(
                f"installing {counted(len(apart), 'package')} one by one", total=len(apart), unit="packages"
            ) as task:
                for number, line in enumerate(apart):
                    is_faulty = canonical_name(line) in faults
                    found[(line,)] = _installed_alone(bento, line, target, folder / str(number), reporter, is_faulty)
                    task.advance(1)
            return found

        yield Staged(lines, folders)


def _installed_alone(
    bento: Path, line: str, target: Target, folder: Path, reporter: StepReporter, is_faulty: bool
) -> Path:
    """Return a folder with a package alone; where uv's cache has another content than its RECORD says, a fresh one.

    Args:
        bento: the Bento's folder.
        line: of its lock.
        target: what it has to run on.
        folder: to be made.
        reporter: receives what is wrong with it.
        is_faulty: whether the cache is known to have another content.
    """
    if not is_faulty:
        with installing(bento, [line], target, folder) as installation:
            installation.finish()
        if not (faults := faulty_files(folder)):
            return folder
        is_faulty = bool(faults)
    fresh = folder.with_name(f"{folder.name}-fresh")
    with installing(bento, [line], target, fresh, cached=False) as installation:
        installation.finish()
    for name, file in faulty_files(fresh).items():
        # Not this machine's fault: pip and uv install such a wheel as it is.
        reporter.say(f"{name}: {file} is not what the wheel's own RECORD says")
    return fresh
