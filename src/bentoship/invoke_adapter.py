"""How invoke runs the tasks: which projects they are for, how they end, and `bentoship` as a program of its own.

Imports nothing heavy until a task runs, so that `invoke --list` answers at once.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from bentoship import commands

if TYPE_CHECKING:
    from bentoship.project import Run

# invoke turns byte-code off for tasks.py (`invoke --write-pyc`); compiling this package again costs each run 0.1 s.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
# There are few reference cycles here, and searching for them takes a tenth of a short run.
gc.disable()

__all__ = ["Context", "do", "main", "prepare", "show", "task"]

_STOPPING = [signal.SIGINT, signal.SIGTERM]
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup has us go on after the terminal is closed
    _STOPPING.append(signal.SIGHUP)


class _Project(Argument):
    """The option --project of every task, which counts for the whole command line.

    invoke gives a task's options to that task alone, and not to its pre-tasks, which run before it. So the option keeps
    what was given, as the parser sees it.
    """

    given: ClassVar[list[str]] = []

    def __init__(self, **details: Any) -> None:
        super().__init__(**details)
        self.raw_value = None  # for a list invoke has [], and would take the option without a value for given

    def __repr__(self) -> str:
        return "--project"

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take one more folder."""
        super().set_value(value, cast)
        self.given.append(value)


class _Setting(Argument):
    """An option of every task that stands for a setting, and wins over it.

    Args:
        setting: the name of the setting, which gets all values that are given, with commas between.
        details: as of invoke's Argument.
    """

    def __init__(self, setting: str, **details: Any) -> None:
        super().__init__(**details)
        self.raw_value = None  # as of _Project
        self._setting = f"BENTOSHIP_{setting}"  # which wins over the name alone
        self._given: list[str] = []

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value, and set it in the environment, where all settings are read."""
        from bentoship.system import process

        super().set_value(value, cast)
        self._given.append(value)
        process.put({self._setting: ",".join(self._given)})


class _Task(Task[Any]):
    """A task of invoke's with the options that all tasks have."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options of the task's function, and those of all tasks."""
        text = "a project's folder, in place of the current one; may be given several times"
        return [
            *super().get_arguments(ignore_unknown_help),
            _Project(names=("project",), kind=list, help=text),
            _Setting("BENTOFILE", names=("bentofile",), help="the file that configures the build, as BENTOFILE does"),
            _Setting("BENTO", names=("bento",), help="a Bento that is built already, as BENTO does"),
            _Setting("BENTO_SERVICE", names=("service",), help="the service, module:Class, as BENTO_SERVICE does"),
            _Setting("BENTO_ARGS", names=("arg",), kind=list, help="name=value for the service; repeatable"),
        ]

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run the task; its function does not see the options of all tasks."""
        own = {name: value for name, value in options.items() if name not in _OF_ALL}
        return super().__call__(*args, **own)


_OF_ALL = ("project", "bentofile", "service", "arg", "bento")

task = functools.partial(invoke_task, klass=_Task)
"""Make a task of a function, as invoke's own decorator does, with the options that all tasks have."""


class Stopped(SystemExit):
    """This process has to end, such as by a signal. Not a KeyboardInterrupt, for which invoke would exit with 1."""


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    if not threading.main_thread().is_alive():
        return  # everything is done; only temporary files are still being removed
    raise Stopped(128 + number)


for _number in _STOPPING:
    signal.signal(_number, _stop)


# What prints to a stream that was closed before the start (2>&-) would print to another one, or into a file that was
# opened since and got its number.
for _descriptor, _name in enumerate(("stdin", "stdout", "stderr")):
    if getattr(sys, _name) is None:
        os.dup2(os.open(os.devnull, os.O_RDWR), _descriptor)
        setattr(sys, _name, os.fdopen(_descriptor, "r" if _name == "stdin" else "w"))


def do(context: Context, step: Callable[[Run], object]) -> None:
    """Do a step for each project; with `--dry`, print what publish would do instead.

    Args:
        context: of the task.
        step: what to do.
    """
    with _cleanly(context):
        for folder in _folders(context):
            run = _run(context, folder)
            if context.config.run.dry:
                with _for_a_reader():
                    commands.plan.dry_run(run)
            else:
                step(run)


def show(context: Context, report: Callable[[Path], bool | None]) -> None:
    """Print something about each project on stdout; exit with 1 if any report returns False.

    Args:
        context: of the task.
        report: prints it, given the project's folder.
    """
    with _cleanly(context):
        with _for_a_reader():
            good = [report(folder) is not False for folder in _folders(context)]
        if not all(good):
            raise Exit(code=1)


@task
def prepare(context: Context) -> None:
    """Begin to make the base image in the background while the Bento is built."""
    if not context.config.run.dry:
        do(context, commands.publish.prepare)


@contextmanager
def _cleanly(context: Context) -> Iterator[None]:
    """End the runs when the block is stopped, and turn an error into one clean message and its exit code."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        yield
        # A signal between two tasks waits for the next one, which can end what was begun.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    except BaseException as error:
        for run in _runs(context).values():
            run.close()
        if isinstance(error, Stopped) and error.code != 128 + signal.SIGPIPE:
            # Not earlier: only closing the run has removed the progress from the terminal.
            with suppress(OSError):  # stderr may be closed, or its terminal
                os.write(2, b"\nStopped. What is complete is kept; the next run continues from there.\n")
        if isinstance(error, Exit) or not isinstance(error, Exception):
            raise
        from bentoship.errors import explain
        from bentoship.system import process
        from bentoship.system.text import printable

        if process.debugging():
            import traceback

            raise Exit(printable("".join(traceback.format_exception(error))), code=1) from None
        raise Exit(f"Error: {printable(explain(error))}", code=getattr(error, "exit_code", 1)) from None


@contextmanager
def _for_a_reader() -> Iterator[None]:
    """End quietly, as other programs do, when the reader of what is printed has gone, such as head."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise Python would complain at exit about what it could not print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Stopped(128 + signal.SIGPIPE) from None


def _folders(context: Context) -> list[Path]:
    """Return the projects' folders: the given ones, else the one that is set for where invoke found tasks.py.

    Raises: BentoshipError when a given one is not a folder, such as "" of a variable that a script has not set.
    """
    wrong = [repr(text) for text in _Project.given if not text or not Path(text).is_dir()]
    if wrong:
        from bentoship.errors import BentoshipError

        raise BentoshipError("Open the project", f"there is no folder {', '.join(wrong)}")
    if _Project.given:
        return list(dict.fromkeys(Path(text).resolve() for text in _Project.given))
    from bentoship.project import named_folder

    return [named_folder(Path(context.config._project_prefix or Path.cwd()))]


class _Runs:
    """The runs of this process, by their projects' folders."""

    def __init__(self) -> None:
        self.by_folder: dict[Path, Run] = {}

    def __copy__(self) -> _Runs:
        # invoke copies the values of its configuration whenever it merges them.
        return self


def _runs(context: Context) -> dict[Path, Run]:
    """Return the runs of this process, by folder: invoke hands the same configuration to each task."""
    if "bentoship" not in context.config:
        context.config.bentoship = _Runs()
    runs: dict[Path, Run] = context.config.bentoship.by_folder
    return runs


def _run(context: Context, folder: Path) -> Run:
    """Return the run for a project, begun unless an earlier task has begun it."""
    from bentoship.commands.terminal import Terminal
    from bentoship.project import begin

    runs = _runs(context)
    if folder not in runs:
        runs[folder] = begin(folder, Terminal())
    return runs[folder]


def main(tasks: ModuleType, *own: Task[Any]) -> None:
    """Run the command line of `bentoship`, a program of invoke's with these tasks.

    Args:
        tasks: the module with the tasks; its default one is run when only folders are named.
        own: further tasks.
    """
    collection = Collection.from_module(tasks)
    for one in own:
        collection.add_task(one)
    arguments = [*sys.argv[:1], *name_folders(sys.argv[1:], collection)]
    with _for_a_reader():
        Program(version("bentoship"), collection, name="bentoship", binary="bentoship").run(arguments)


def name_folders(words: Sequence[str], collection: Collection) -> list[str]:
    """Return a command line in which the words that name folders and no task are values of --project.

    invoke has no positional arguments that may be left out or repeated.
    """
    names = {name for primary, aliases in collection.task_names.items() for name in (primary, *aliases)}
    folders: list[str] = []
    others: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        is_value = (
            before in (*(f"--{name}" for name in _OF_ALL), "--config", "-f") or word.startswith("-") or word in names
        )
        # A path to nowhere is a folder's name misspelt, unless it may be an option's value.
        is_path = "/" in word and not before.startswith("-")
        is_folder = bool(word) and (is_path or Path(word).is_dir())
        (folders if is_folder and not is_value else others).append(word)
    if folders and not names & set(others):
        others.append(str(collection.default))
    return [*others, *(part for folder in folders for part in ("--project", folder))]
