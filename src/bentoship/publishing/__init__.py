"""Publishing as functions of a project's folder, which print nothing: what `from bentoship import publish` gives."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from bentoship.errors import BentoshipError
from bentoship.image.progress import SilentProgress
from bentoship.project import Project, Published, Reporter, Run, Settings, Transfer, begin
from bentoship.system.progress import SILENT, Details, Task

if TYPE_CHECKING:
    from bentoship.publishing.planning import Plan

__all__ = ["BentoshipError", "Settings", "plan", "publish"]


def publish(folder: Path | str, settings: Settings | None = None, *, reporter: Reporter | None = None) -> Published:
    """Publish a project's service as an image: build it, assemble the image, push it, and move its tags.

    Args:
        folder: where `bentoml build` would be run.
        settings: None for what `.env` and the environment set; `.env` is then exported to this process, for the SDKs
            that read it.
        reporter: receives what happens, as it happens; None for no reports.

    Returns: the image, by its tags and its digest.

    Raises: BentoshipError.
    """
    from bentoship.publishing import steps

    with closing(_run(folder, settings, reporter)) as run:
        return steps.publish(run)


def plan(
    folder: Path | str, settings: Settings | None = None, *, why: bool = False, reporter: Reporter | None = None
) -> Plan:
    """Return what `publish` would do with a project; nothing is stored, started or sent.

    Args:
        folder: where `bentoml build` would be run.
        settings: as of `publish`.
        why: whether to find what makes the image differ from the one that was published last.
        reporter: as of `publish`.

    Raises: BentoshipError.
    """
    from bentoship.publishing.planning import planned

    with closing(_run(folder, settings, reporter)) as run:
        return planned(run, why=why)


def _run(folder: Path | str, settings: Settings | None, reporter: Reporter | None) -> Run:
    project, reporter = Path(folder).resolve(), reporter or _Silent()
    return begin(project, reporter) if settings is None else Run(Project(project, settings), reporter)


class _Silent:
    """A reporter that drops everything."""

    def say(self, step: str, text: str) -> None: ...

    def task(self, step: str, title: str = "", **_: Unpack[Details]) -> AbstractContextManager[Task]:
        """Return a task whose progress is dropped."""
        return SILENT.task(title)

    def transfer(self, step: str, titles: Mapping[str, str]) -> AbstractContextManager[Transfer]:
        """Return a transfer whose progress is dropped."""
        return nullcontext(_SilentTransfer())

    def pushed(self, image: Published) -> None: ...


class _SilentTransfer(SilentProgress):
    seconds = 0.0
