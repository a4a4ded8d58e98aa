"""The steps from a BentoML service to an image in a registry. `invoke --list` shows them, `invoke publish` does all."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

if TYPE_CHECKING:
    from bentoship.project import Run

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER / "src"))
# invoke forbids it, for the sake of tasks.py (`invoke --write-pyc`); compiling src/ again costs each run 0.1 s.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
# What goes round in circles is little here, and to look for it, last at the very end, takes a tenth of a short run.
gc.disable()


class Stopped(SystemExit):
    """This process is to end, such as by a signal. Not a KeyboardInterrupt, of which invoke would make exit code 1."""


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    if not threading.main_thread().is_alive():
        return  # all is done; only what was needed meanwhile is still being removed
    raise Stopped(128 + number)


STOPPING = (signal.SIGINT, signal.SIGTERM)
for number in STOPPING:
    signal.signal(number, _stop)


def _cleanly(body: Callable[..., None]) -> Callable[..., None]:
    """Let whatever stops a task end the run, and an error become one clean message, and its exit code."""

    @functools.wraps(body)
    def guarded(context: Context, **options: bool) -> None:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            body(context, **options)
            # One that comes between two tasks waits for the next, which can end what was begun.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        except BaseException as error:
            if "bentoship" in context.config:
                context.config.bentoship.close()
            if isinstance(error, Stopped) and error.code != 128 + signal.SIGPIPE:
                # Not before: what shows on a terminal what is under way is gone only now.
                os.write(2, b"\nStopped. What is complete is kept; the next run goes on from there.\n")
            if isinstance(error, Exit) or not isinstance(error, Exception):
                raise
            from bentoship.errors import explain
            from bentoship.system import process

            if process.debugging():
                raise
            raise Exit(f"Error: {explain(error)}", code=getattr(error, "exit_code", 1)) from None

    return guarded


def _run(context: Context) -> Run:
    """Return the run of all tasks that this process does: invoke hands the same configuration to each."""
    # Imported here, as all of bentoship is, so that `invoke --list` answers at once.
    from bentoship.commands.terminal import Terminal
    from bentoship.project import begin

    if "bentoship" not in context.config:
        context.config.bentoship = begin(FOLDER, Terminal())
    run: Run = context.config.bentoship
    return run


def _do(context: Context, step: Callable[[Run], object]) -> None:
    """Do a step; with `--dry` tell what publish would do instead."""
    if not context.config.run.dry:
        step(_run(context))
        return
    from bentoship.commands.plan import dry_run

    with _for_a_reader():
        dry_run(_run(context))


@contextmanager
def _for_a_reader() -> Iterator[None]:
    """End quietly, as other programs do, when who reads what is printed has gone, such as head."""
    try:
        yield
        if sys.stdout is not None:  # it may have been closed before the beginning
            sys.stdout.flush()
    except BrokenPipeError:
        # Else Python would complain, when it ends, of what it could not print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Stopped(128 + signal.SIGPIPE) from None


def _show(rows: str, as_json: bool) -> None:
    """Print a list of what the cloud has."""
    from bentoship.commands.cloud import show

    with _for_a_reader():
        show(FOLDER, rows, as_json=as_json)


@task
@_cleanly
def enable_api(context: Context) -> None:
    """Enable the registry's API in the cloud project."""
    from bentoship.commands import publish

    _do(context, publish.enable_api)


@task(pre=[enable_api])
@_cleanly
def create_registry(context: Context) -> None:
    """Create the container registry."""
    from bentoship.commands import publish

    _do(context, publish.create_registry)


@task
@_cleanly
def auth(context: Context) -> None:
    """Find the account that may push to the registry."""
    from bentoship.commands import publish

    _do(context, publish.auth)


@task
@_cleanly
def build(context: Context) -> None:
    """Build the Bento, unless it is up to date."""
    from bentoship.commands import publish

    _do(context, publish.build)


@_cleanly
def _prepare(context: Context) -> None:
    """Begin what takes long and needs no Bento, while one is built."""
    from bentoship.commands import publish

    if not context.config.run.dry:
        _do(context, publish.prepare)


@task(pre=[task(_prepare), build], help={"load": "Put the image into Docker's engine, too, as IMAGE_NAME:latest."})
@_cleanly
def containerize(context: Context, load: bool = False) -> None:
    """Make the image of the Bento; with --load, have it in Docker's engine, too."""
    from bentoship.commands import publish

    _do(context, publish.load if load else publish.containerize)


@task(pre=[containerize])
@_cleanly
def tag(context: Context) -> None:
    """Name the image for the registry."""
    from bentoship.commands import publish

    _do(context, publish.tag)


@task(pre=[auth, tag])
@_cleanly
def push(context: Context) -> None:
    """Send what the registry lacks of the image, then set its tags."""
    from bentoship.commands import publish

    _do(context, publish.push)


@task(pre=[create_registry, push], default=True, help={"verify": "then start it from there, and compare its answer"})
@_cleanly
def publish(context: Context, verify: bool = False) -> None:
    """From the service to an image in the registry: all of the above."""
    if verify:
        from bentoship.commands.verify import publish_verified

        _do(context, publish_verified)
    else:
        from bentoship.commands import publish

        _do(context, publish.publish)


@task
@_cleanly
def verify(context: Context) -> None:
    """Prove that the image in the registry works, by a sample request."""
    from bentoship.commands.verify import verify

    _do(context, verify)


@task(help={"json": "for programs"})
@_cleanly
def doctor(context: Context, json: bool = False) -> None:
    """Tell what is there for publishing, and what is not."""
    from bentoship.commands.doctor import examine, show

    with _for_a_reader():
        works = show(examine(FOLDER), as_json=json)
    if not works:
        raise Exit(code=1)


@task(help={"why": "and what makes the image differ from the one published last", "json": "for programs"})
@_cleanly
def plan(context: Context, why: bool = False, json: bool = False) -> None:
    """Tell what publish would do, without doing it; with --why, what has changed since the last one."""
    from bentoship.commands.plan import plan

    with _for_a_reader():
        plan(_run(context), as_json=json, why=why)


@task(help={"json": "for programs"})
@_cleanly
def services(context: Context, json: bool = False) -> None:
    """List the APIs that are enabled in the Google Cloud project."""
    _show("services", json)


@task(help={"json": "for programs"})
@_cleanly
def projects(context: Context, json: bool = False) -> None:
    """List the Google Cloud projects that you may see."""
    _show("projects", json)


@task(help={"json": "for programs"})
@_cleanly
def locations(context: Context, json: bool = False) -> None:
    """List where Google Artifact Registry can keep images."""
    _show("locations", json)


@task
@_cleanly
def stop_registry(context: Context) -> None:
    """Stop the local registry; what it holds is kept."""
    from bentoship.commands.cleanup import stop_registry

    _do(context, stop_registry)


@task
@_cleanly
def clean(context: Context) -> None:
    """Remove what can be made again: caches and this project's images, but nothing that was published."""
    from bentoship.commands.cleanup import clean

    _do(context, clean)
