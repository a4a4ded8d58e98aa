"""How invoke runs the tasks: which projects they are for, how they end, and `bentoship` as a program of its own.

Imports nothing heavy until a task runs, so that `invoke --list` answers at once.
"""

from __future__ import annotations

import functools
import gc
import inspect
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from bentoship import commands
from bentoship.invoke_adapter.arguments import Flag, Option, Project, Setting

if TYPE_CHECKING:
    from bentoship.project import Run

# There are few reference cycles here. Searching for them takes a tenth of a short run, and one more search at its end
# another tenth, which looks at nothing that is frozen.
gc.disable()
gc.freeze()

_STOPPING = [signal.SIGINT, signal.SIGTERM]
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup has us go on after the terminal is closed
    _STOPPING.append(signal.SIGHUP)


class _Task(Task[Any]):
    """A task of invoke's with the options that all tasks have.

    For several projects it is run in a process for each, side by side.

    Args:
        body: its function.
        at_once: whether it may run for several projects at once; else it runs in this process, for one after the other.
        details: as of invoke's Task.
    """

    def __init__(self, body: Callable[..., Any], *, at_once: bool = True, **details: Any) -> None:
        self._at_once = at_once
        self._own_all = "all" in inspect.signature(body).parameters  # for all of something else, such as images
        self._pre: list[Any] = []
        super().__init__(body, **details)

    @property
    def is_split(self) -> bool:
        """Return whether the command line names several projects, for each of which the task has a process."""
        return self._at_once and ("all" in Flag.given or len(Project.given) > 1)

    @property
    def pre(self) -> Any:
        """Return the tasks that run before it; where it is split its processes run them."""
        return [] if self.is_split else self._pre

    @pre.setter
    def pre(self, tasks: Any) -> None:
        self._pre = tasks

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options of the task's function, and those of all tasks."""
        texts, own = dict(self.help), super().get_arguments(ignore_unknown_help)
        self.help = texts  # invoke has taken them out, and asks again
        return [
            *(one if one.name == "all" else _as_flag(one) if one.kind is bool else Option(one) for one in own),
            Project(),
            *([] if self._own_all else [Flag(names=("all",), kind=bool, default=False, help=_EVERY)]),
            Setting("BENTOFILE", names=("bentofile",), help="the file that configures the build, as BENTOFILE does"),
            Setting("BENTO", names=("bento",), help="a Bento that is built already, as BENTO does"),
            Setting("BENTO_SERVICE", names=("service",), help="the service, module:Class, as BENTO_SERVICE does"),
            Setting("BENTO_ARGS", names=("arg",), kind=list, help="name=value for the service; repeatable"),
        ]

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run the task; its function does not see the options of all tasks."""
        Option.check(sys.argv)
        shared = _OF_ALL if self._own_all else (*_OF_ALL, "all")
        own = {name: value for name, value in options.items() if name not in shared}
        return _split(self, args[0], own) if self.is_split else super().__call__(*args, **own)


def _as_flag(own: Argument) -> Argument:
    return Flag(names=own.names, kind=bool, default=own.default, help=own.help, attr_name=own.attr_name)


_EVERY = "every folder with a service, in the current folder (or those of --project) and below"
_OF_ALL = ("project", "bentofile", "service", "arg", "bento")
"""The options of all tasks that have a value."""

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


def do(context: Context, step: Callable[[Run], object], *, dry: Callable[[Run], object] | None = None) -> None:
    """Do a step for each project; with `--dry`, only say what it would do.

    Args: context: of the task; step: what to do; dry: says it, None for a part of publishing, which the plan has.
    """
    with _cleanly(context):
        for folder in _folders(context):
            run = _run(context, folder)
            if context.config.run.dry:
                with _for_a_reader():
                    (dry or commands.plan.dry_run)(run)
            else:
                step(run)


def show(context: Context, report: Callable[[Path], bool | None], *, either: Mapping[str, object] = {}) -> None:
    """Print something about each project on stdout; exit with 1 if any report returns False.

    Args:
        context: of the task.
        report: prints it, given the project's folder.
        either: the values of options of which only one may be given, by their names.
    """
    with _cleanly(context):
        commands.words.check_either(either)
        with _for_a_reader():
            good = [report(folder) is not False for folder in _folders(context)]
        if not all(good):
            raise Exit(code=1)


@task
def check(context: Context) -> None:
    """Check that there is something to publish."""
    if not context.config.run.dry:
        do(context, commands.publish.check_models if "model_artifact" in Flag.given else commands.publish.check)


@task
def prepare(context: Context) -> None:
    """Begin to make the base image in the background while the Bento is built."""
    if not context.config.run.dry:
        do(context, commands.publish.prepare)


@task(at_once=False, help={"github": "also write .github/workflows/publish.yaml", "yes": "do not ask"})
def init(context: Context, github: bool = False, yes: bool = False) -> None:
    """Set a project up to publish with invoke."""
    show(context, lambda folder: commands.init.init(folder, github=github, yes=yes))


# The process of a task for one of several projects. The task's module may be anyone's tasks.py, as invoke has found it.
_PART = """\
import json, sys
from importlib import import_module
order = json.loads(sys.argv[1])
sys.path[:] = order["path"]
from bentoship.invoke_adapter.running import run_part
run_part(getattr(import_module(order["module"]), order["task"]), order["words"])
"""


def _split(task: _Task, context: Context, options: Mapping[str, Any]) -> None:
    """Run a task in a process for each project; exit with another code than 0 unless all succeed.

    Args:
        task: the task.
        context: of the task.
        options: its own options.
    """
    words = commands.words.of_options(options)

    def command(folder: Path) -> list[str]:
        line = [*(["--dry"] if context.config.run.dry else []), _PART_NAME, *words, "--project", str(folder)]
        order = {"path": sys.path, "module": task.__module__, "task": task.__name__, "words": line}
        return [sys.executable, "-P", "-c", _PART, json.dumps(order)]

    with _cleanly(context), _for_a_reader():
        is_json = bool(options.get("json"))
        if code := commands.several.run(task.__name__, _folders(context), command, as_json=is_json):
            raise Exit(code=code)


_PART_NAME = "part"


def run_part(task: Task[Any], words: Sequence[str]) -> None:
    """Run a task for one of several projects, as the program `bentoship` would. Args: words: its command line."""
    collection = Collection()
    collection.add_task(task, _PART_NAME)
    Program(version("bentoship"), collection, name="bentoship", binary="bentoship").run(["bentoship", *words])


@contextmanager
def _cleanly(context: Context) -> Iterator[None]:
    """End the runs when the block is stopped, and turn an error into one clean message and its exit code."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        yield
        # A signal between two tasks waits for the next one, which can end what was begun.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        gc.freeze()
    except BaseException as error:
        for run in _runs(context).by_folder.values():
            run.close()
        if isinstance(error, Stopped) and error.code != 128 + signal.SIGPIPE:
            # Not earlier: only closing the run has removed the progress from the terminal.
            with suppress(OSError):  # stderr may be closed, or its terminal
                os.write(2, b"\nStopped. What is complete is kept; the next run continues from there.\n")
        if isinstance(error, Exit) or not isinstance(error, Exception):
            raise
        raise Exit(commands.words.of_error(error), code=getattr(error, "exit_code", 1)) from None


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

    With --all, they are those with a service in the given ones, else in the current one, and below.

    Raises: BentoshipError when a given one is not a folder, such as "" of a variable that a script has not set.
    """
    if wrong := [text for text in Project.given if not text or not Path(text).is_dir()]:
        raise commands.words.no_folders(wrong)
    if "all" in Flag.given:
        return commands.several.find([Path(text) for text in Project.given or ["."]])
    if Project.given:
        return list(dict.fromkeys(Path(text).resolve() for text in Project.given))
    runs = _runs(context)
    if runs.folder is None:
        from bentoship.project import named_folder

        runs.folder = named_folder(Path(context.config._project_prefix or Path.cwd()))
    return [runs.folder]


class _Runs:
    """The runs of this process, by their projects' folders, and the project that no option names, once it is known."""

    def __init__(self) -> None:
        self.by_folder: dict[Path, Run] = {}
        self.folder: Path | None = None

    def __copy__(self) -> _Runs:
        # invoke copies the values of its configuration whenever it merges them.
        return self


def _runs(context: Context) -> _Runs:
    """Return the runs of this process: invoke hands the same configuration to each task."""
    if "bentoship" not in context.config:
        context.config.bentoship = _Runs()
    runs: _Runs = context.config.bentoship
    return runs


def _run(context: Context, folder: Path) -> Run:
    """Return the run for a project, begun unless an earlier task has begun it."""
    from bentoship.commands.terminal import Terminal
    from bentoship.project import begin

    runs = _runs(context).by_folder
    if folder not in runs:
        runs[folder] = begin(folder, Terminal())
    return runs[folder]


class _Program(Program):
    """The program `bentoship`, in which a word that is no task is a misspelt folder as well."""

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            task, options = "", []
            if error.context and error.context.name:
                task, options = error.context.name, [*error.context.flags, *error.context.inverse_flags]
            said = commands.words.not_understood(str(error), self.parser.contexts, task, options)
            raise ParseError(said) from error


def main(tasks: ModuleType, *own: Task[Any]) -> None:
    """Run the command line of `bentoship`, a program of invoke's with these tasks.

    Args:
        tasks: the module with the tasks; its default one is run when only folders are named.
        own: further tasks.
    """
    collection = Collection.from_module(tasks)
    for one in own:
        collection.add_task(one)
    contexts = collection.to_contexts()
    names = {name: len(one.positional_args) for one in contexts for name in (str(one.name), *one.aliases)}
    options = {name for one in contexts for arg in one.args.values() if arg.takes_value for name in arg.names}
    words = commands.words.name_folders(sys.argv[1:], names, options, str(collection.default))
    with _for_a_reader():
        _Program(version("bentoship"), collection, name="bentoship", binary="bentoship").run([*sys.argv[:1], *words])
