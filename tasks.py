"""The steps from a BentoML service to an image in a registry. `invoke --list` shows them, `invoke publish` does all."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER / "src"))
# invoke forbids it, for the sake of tasks.py (`invoke --write-pyc`); compiling src/ anew costs each run 0.1 s.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
# What goes round in circles is little here, and to look for it, last at the very end, takes a tenth of a short run.
gc.disable()


class Stopped(SystemExit):
    """This process is to end, such as by a signal. Not a KeyboardInterrupt, of which invoke would make exit code 1."""


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    if not threading.main_thread().is_alive():
        return  # all is done; only what was needed meanwhile is still being removed
    # Not print, which must not be called while it is being called.
    os.write(2, b"\nStopped. What is complete is kept; the next run goes on from there.\n")
    raise Stopped(128 + number)


signal.signal(signal.SIGINT, _stop)
signal.signal(signal.SIGTERM, _stop)


def _run(context: Context, step: str, module: str = "publishing") -> None:
    """Do a step of a module; with `--dry` tell what publish would do instead. An error becomes one clean message."""
    # Imported here, so that `invoke --list` answers at once.
    from bentoship.project import workspace

    if context.config.run.dry:
        _plan()
        return
    with _clean_errors():
        getattr(importlib.import_module(f"bentoship.{module}"), step)(workspace(FOLDER))


def _plan(**how: bool) -> None:
    """Tell what publish would do."""
    from bentoship.commands import plan as before
    from bentoship.project import workspace

    with _clean_errors(), _for_a_reader():
        before.plan(workspace(FOLDER), **how)


def _show(what: str, as_json: bool) -> None:
    """Print a list of what the cloud has."""
    with _clean_errors(), _for_a_reader():
        from bentoship.commands.cloud import show

        show(FOLDER, what, as_json=as_json)


@contextmanager
def _clean_errors() -> Iterator[None]:
    """Let an error become one clean message, and its exit code."""
    from bentoship.errors import explain
    from bentoship.system import process

    try:
        yield
    except Exception as error:
        if process.debugging():
            raise
        raise Exit(f"Error: {explain(error)}", code=getattr(error, "exit_code", 1)) from None


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


@task
def enable_api(context: Context) -> None:
    """Enable the registry's API in the cloud project."""
    _run(context, "enable_api")


@task(pre=[enable_api])
def create_registry(context: Context) -> None:
    """Create the container registry."""
    _run(context, "create_registry")


@task
def auth(context: Context) -> None:
    """Find the account that may push to the registry."""
    _run(context, "auth")


@task
def build(context: Context) -> None:
    """Build the Bento, unless it is up to date."""
    _run(context, "build")


def _prepare(context: Context) -> None:
    """Begin what takes long and needs no Bento, while one is built."""
    if not context.config.run.dry:
        _run(context, "prepare")


@task(pre=[task(_prepare), build], help={"load": "Put the image into Docker's engine, too, as IMAGE_NAME:latest."})
def containerize(context: Context, load: bool = False) -> None:
    """Make the image of the Bento; with --load, have it in Docker's engine, too."""
    _run(context, "containerize")
    if load and not context.config.run.dry:
        _run(context, "load")


@task(pre=[containerize])
def tag(context: Context) -> None:
    """Name the image for the registry."""
    _run(context, "tag")


@task(pre=[auth, tag])
def push(context: Context) -> None:
    """Send what the registry lacks of the image, then set its tags."""
    _run(context, "push")


@task(pre=[create_registry, push], default=True, help={"verify": "then start it from there, and compare its answer"})
def publish(context: Context, verify: bool = False) -> None:
    """From the service to an image in the registry: all of the above."""
    if verify:
        _run(context, "publish_verified", "commands.verify")
    else:
        _run(context, "publish")


@task
def verify(context: Context) -> None:
    """Prove that the image in the registry works, by a sample request."""
    _run(context, "verify", "commands.verify")


@task(help={"json": "for programs"})
def doctor(context: Context, json: bool = False) -> None:
    """Tell what is there for publishing, and what is not."""
    from bentoship.commands.doctor import doctor

    with _clean_errors(), _for_a_reader():
        works = doctor(FOLDER, as_json=json)
    if not works:
        raise Exit(code=1)


@task(help={"why": "and what makes the image differ from the one published last", "json": "for programs"})
def plan(context: Context, why: bool = False, json: bool = False) -> None:
    """Tell what publish would do, without doing it; with --why, what has changed since the last one."""
    _plan(as_json=json, why=why)


@task(help={"json": "for programs"})
def services(context: Context, json: bool = False) -> None:
    """List the APIs that are enabled in the Google Cloud project."""
    _show("services", json)


@task(help={"json": "for programs"})
def projects(context: Context, json: bool = False) -> None:
    """List the Google Cloud projects that you may see."""
    _show("projects", json)


@task(help={"json": "for programs"})
def locations(context: Context, json: bool = False) -> None:
    """List where Google Artifact Registry can keep images."""
    _show("locations", json)


@task
def stop_registry(context: Context) -> None:
    """Stop the local registry; what it holds is kept."""
    _run(context, "stop_registry", "commands.cleanup")


@task
def clean(context: Context) -> None:
    """Remove what can be made again: caches and this project's images, but nothing that was published."""
    _run(context, "clean", "commands.cleanup")
