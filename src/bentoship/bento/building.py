"""Building a project's Bento with the least work that gives the same result."""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentoship.bento.configuration import Configuration, index_passwords, project_configuration
from bentoship.bento.inputs import Inputs, read_inputs
from bentoship.bento.metadata import project_metadata, with_metadata
from bentoship.bento.records import closed_marker, described_bento, keep, last_record, record_of
from bentoship.bento.values import Bento, BuildContext
from bentoship.errors import BentoError
from bentoship.packages.requirements import is_closed, requirements_of
from bentoship.system.files import file_lock, write_whole
from bentoship.system.process import put
from bentoship.system.progress import SILENT, StepReporter
from bentoship.system.records import key_of

_ATTEMPTS = 3


def up_to_date(context: BuildContext) -> Bento | None:
    """Return the Bento of the current sources and models if the store has it, else None. Raises BentoError."""
    inputs = _inputs(context)
    description = _recorded(context, inputs)
    return _bento(context, description, inputs.notes) if description else None


def build(
    context: BuildContext,
    configuration: Configuration | None = None,
    *,
    begin: Callable[[], object] = lambda: None,
    reporter: StepReporter = SILENT,
) -> Bento:
    """Return the Bento of a project, after building it unless the one in the store is up to date.

    Args:
        context: what it is built from.
        configuration: what the project says of it, if that has just been read.
        begin: called before a full build, which takes a while.
        reporter: receives the progress of packages that are installed to import the service.

    Raises:
        BentoError: there is an error in the bentofile, the service, a model or the lock.
    """
    with file_lock(_lock(context)):
        inputs = _inputs(context, configuration)
        if description := _recorded(context, inputs):
            return _bento(context, description, inputs.notes)
        inputs, description = _build(context, inputs, context.store, begin, reporter)
        keep(context, inputs, description)
    return _bento(context, description, inputs.notes, fresh=True)


def _lock(context: BuildContext) -> Path:
    """Return the file by which builds of a project wait for each other; all that take a Bento have one."""
    name = "" if context.bento else key_of(str(context.folder.resolve()))[:16]
    return context.records / "locks" / f"build{name}"


def preview(
    context: BuildContext, store: Path, *, begin: Callable[[], object] = lambda: None, reporter: StepReporter = SILENT
) -> Bento:
    """Return the Bento that `build` would return, without adding it to BentoML's store.

    Args:
        context, begin, reporter: as of `build`.
        store: the folder to put it into if it has to be built; it must exist as long as the Bento is used.

    Raises: BentoError as `build` does.
    """
    inputs = _inputs(context)
    if description := _recorded(context, inputs):
        return _bento(context, description, inputs.notes)
    inputs, description = _build(context, inputs, store, begin, reporter)
    return _bento(context, description, inputs.notes, fresh=True)


def rehearse(context: BuildContext, folder: Path, *, reporter: StepReporter = SILENT) -> Bento:
    """Import the service and build its Bento as `build` does, even if it is up to date; only the cache keeps anything.

    Args:
        context, reporter: as of `build`.
        folder: a temporary folder for the Bento, and for models that BentoML's store lacks.

    Raises: BentoError as `build` does.
    """
    notes = _inputs(context).notes
    description = _build_all(_apart(context, folder / "home"), folder / "bentos", reporter)
    return _bento(context, description, notes, fresh=True)


def _bento(
    context: BuildContext, description: Mapping[str, Any], notes: tuple[str, ...], *, fresh: bool = False
) -> Bento:
    """Return the Bento of a description, with what the project's files say of it now. Raises BentoError."""
    return with_metadata(context, Bento.from_description(description, fresh=fresh, notes=notes))


def _apart(context: BuildContext, home: Path) -> BuildContext:
    """Return a context with another home of BentoML, with the same models, if a build would write into the user's.

    Args:
        context: of the user's.
        home: the other home; it is created.
    """
    from bentoship.bento.models import Models  # not needed by the other functions

    user = context.bentoml_home
    if context.store.is_dir() and Models(user, context.records).has_all(context.exported_models):
        return context
    for model in user.glob("models/*/*"):
        place = home / model.relative_to(user)
        place.parent.mkdir(parents=True, exist_ok=True)
        if model.is_dir():
            place.symlink_to(model.resolve())
        else:  # NAME/latest
            shutil.copy(model, place)
    return replace(context, bentoml_home=home)


def _inputs(context: BuildContext, configuration: Configuration | None = None) -> Inputs:
    """Return the inputs, after setting variables to the passwords in their requirements, for uv. Raises BentoError."""
    configuration = configuration or project_configuration(context)
    put(index_passwords(context, configuration))
    return read_inputs(context, configuration)


def _recorded(context: BuildContext, inputs: Inputs) -> dict[str, Any] | None:
    return described_bento(context, record_of(context, inputs))


def _build(
    context: BuildContext, inputs: Inputs, store: Path, begin: Callable[[], object], reporter: StepReporter
) -> tuple[Inputs, dict[str, Any]]:
    """Build the Bento, again if a file changes meanwhile; return what it was built from, and its description."""
    from bentoship.bento.child_process import build_in_child  # not needed when it is up to date

    if context.bento:
        return inputs, {**build_in_child(context, store, reporter=reporter), "files": inputs.states}
    project_metadata(context)  # what is wrong with it is said before the build
    begun = False
    for _ in range(_ATTEMPTS):
        description = _revise_last(context, inputs, store)
        if description is None:
            if not begun:
                begin()
            begun = True
            description = _build_all(context, store, reporter)
        after = _inputs(context)
        # What the import of the service writes is packed as it is afterwards.
        changed = {*inputs.changed(after), *description["changed"]} - {*description["written"]}
        inputs = after
        if not changed:
            read = {name: state for name, state in description["read"].items() if name not in after.states}
            return after, {**description, "files": after.states, "read": read}
    why = f"{', '.join(sorted(changed))} changed each time while it was built"
    raise BentoError("Build the Bento", why, "Stop what writes there, or exclude it in bentofile.yaml.")


def _revise_last(context: BuildContext, inputs: Inputs, store: Path) -> dict[str, Any] | None:
    """Rebuild the last Bento incrementally, without importing the service; None when a full build is needed."""
    from bentoship.bento.revision import revise  # not needed when it is up to date

    previous = described_bento(context, last_record(context, inputs))
    # Requirements that are not fully pinned have to be resolved again.
    if previous is None or not _is_closed(previous):
        return None
    return revise(context, previous, inputs.states, store)


def _build_all(context: BuildContext, store: Path, reporter: StepReporter) -> dict[str, Any]:
    """Build the Bento in a child process; a fully pinned lock is not resolved again."""
    from bentoship.bento.child_process import LockError
    from bentoship.bento.importing import build_where_it_imports

    closed = closed_marker(context)
    if closed.is_file():
        # The packages downloaded for the lock may be gone, and a service may add requirements of its own.
        with contextlib.suppress(LockError):
            description = build_where_it_imports(context, store, offline=True, reporter=reporter)
            if _is_closed(description):
                return description
    description = build_where_it_imports(context, store, reporter=reporter)
    if _is_closed(description):
        write_whole(closed, b"")
    return description


def _is_closed(description: Mapping[str, Any]) -> bool:
    try:
        return is_closed(*requirements_of(Path(description["path"])))
    except FileNotFoundError:
        return False
