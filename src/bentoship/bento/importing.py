"""With which packages and which Python a service is imported: those of this process, or those of its image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bentoship.bento.child_process import (
    LockError,
    MissingPackageError,
    ServiceError,
    build_in_child,
    specify_in_child,
)
from bentoship.bento.inputs import requirements_key
from bentoship.bento.packed_import import check_packed_import
from bentoship.bento.values import BuildContext
from bentoship.packages.building import interpreter_of
from bentoship.packages.environment import Environment, environment_of
from bentoship.packages.requirements import portable_lines, requirements_of
from bentoship.system import records
from bentoship.system.files import temporary_folder
from bentoship.system.process import OWN_PYTHON
from bentoship.system.progress import SILENT, StepReporter
from bentoship.system.values import dataclass

_ATTEMPTS = 2
"""How often an environment is made: what the service asks for may depend on its packages, or on the day."""


def build_where_it_imports(
    context: BuildContext, store: Path, *, offline: bool = False, reporter: StepReporter = SILENT
) -> dict[str, Any]:
    """Build a Bento with the packages that its service needs to be imported, and return its description.

    Args:
        context, store, offline: as of `child_process.build_in_child`.
        reporter: receives the progress of an environment that is made, and what is waited for.

    Raises: PackagesError when these cannot be had, and BentoError as `build_in_child` does.
    """
    if context.python == "host" or context.bento:
        return _built(context, store, offline=offline, reporter=reporter)
    making, known, adds_bentoml = _Making(context, reporter), _known(context), True
    failed: ServiceError | None = None
    try:
        if known:
            return making.build(store, *known, offline=offline)
        if context.python == "auto":
            return _built(context, store, offline=offline, reporter=reporter)
    except ServiceError as error:
        failed = error  # it may require more than it did, or another Python
    except LockError as error:
        if known or not error.bentoml:
            raise
        adds_bentoml = False
    with temporary_folder(context.scratch, "specified-") as folder:
        with reporter.task("finding the packages that its import needs"):
            try:
                specified = _specified(context, folder, reporter, adds_bentoml=adds_bentoml)
            except ServiceError as error:
                raise failed or error from error
        if failed and not _may_import(failed, known[0].wanted if known else OWN_PYTHON, specified):
            raise failed
        return making.build(store, making.environment(specified), _requirements(specified), offline=offline)


def _built(
    context: BuildContext,
    store: Path,
    *,
    offline: bool,
    environment: Environment | None = None,
    reporter: StepReporter,
) -> dict[str, Any]:
    """Build a Bento, and return its description. Args, raises: as of `build_in_child` and `check_packed_import`."""
    description = build_in_child(context, store, offline=offline, environment=environment, reporter=reporter)
    check_packed_import(context, description, environment)
    return description


def _may_import(error: ServiceError, python: str, specified: Mapping[str, Any]) -> bool:
    """Return whether a service that failed may be imported with other packages, or in another Python that is here.

    Args:
        error: how it failed.
        python: the version of Python for which that was.
        specified: the description of what it asks for now.
    """
    wanted = specified["python_version"]
    is_here = wanted != python and bool(interpreter_of(wanted, Path(specified["path"])))
    return isinstance(error, MissingPackageError) or is_here


def _specified(context: BuildContext, folder: Path, reporter: StepReporter, *, adds_bentoml: bool) -> dict[str, Any]:
    """Return the description of a Bento that requires what the service does; it is put into a folder."""
    if adds_bentoml:
        try:
            return specify_in_child(context, folder, adds_bentoml=True, reporter=reporter)
        except LockError as error:
            if not error.bentoml:
                raise
    return specify_in_child(context, folder, adds_bentoml=False, reporter=reporter)


@dataclass(frozen=True)
class _Making:
    """How Bentos are built in environments.

    Args:
        context: what a Bento is built from.
        reporter: receives the progress of an environment that is made, and what is waited for.
    """

    context: BuildContext
    reporter: StepReporter

    def build(self, store: Path, environment: Environment, requirements: str, *, offline: bool) -> dict[str, Any]:
        """Build a Bento in an environment, and again in another one if it requires something else than that has.

        Args:
            store: the store to put it into.
            environment: the environment.
            requirements: those that the environment was made for.
            offline: whether to lock packages without access to the index.
        """
        for _ in range(_ATTEMPTS):
            description = _built(self.context, store, offline=offline, environment=environment, reporter=self.reporter)
            if _requirements(description) == requirements:
                break
            environment, requirements = self.environment(description), _requirements(description)
        known = {**asdict(environment), "folder": str(environment.folder)}
        records.keep(_record(self.context), {"environment": known, "requirements": requirements})
        return description

    def environment(self, description: Mapping[str, Any]) -> Environment:
        """Return the environment for a Bento. Args: description: of the Bento."""
        kept, locks = self.context.environments, self.context.locks
        return environment_of(Path(description["path"]), description["python_version"], kept, locks, self.reporter)


def _requirements(description: Mapping[str, Any]) -> str:
    """Return a key of what a Bento requires, and of the Python that it wants."""
    asked, written = map(portable_lines, requirements_of(Path(description["path"])))
    return records.key_of(description["python_version"], *asked, "", *written)


def _known(context: BuildContext) -> tuple[Environment, str] | None:
    """Return the environment in which the service was imported the last time, and the requirements that it has."""

    def read(data: Mapping[str, Any]) -> tuple[Environment, str]:
        found = {**data["environment"], "folder": Path(data["environment"]["folder"])}
        return Environment(**found), str(data["requirements"])

    known = records.read_as(_record(context), read)
    return known if known and known[0].is_usable() else None


def _record(context: BuildContext) -> Path:
    key = records.key_of(requirements_key(context), str(context.folder), context.service, repr(context.arguments))
    return context.records / f"environment-{key}.json"
