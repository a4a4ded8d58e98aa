"""The process that imports the user's service and builds its Bento.

One process per build: a second build in the same one would pack the first one's modules again. Its argument
says what to do. It answers into a file, because the service may print whatever it likes while it is imported.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from bentoship.bento import bentoml_adapter, uv_project
from bentoship.bento.asking import Asking
from bentoship.bento.completeness import IncompleteError, Modules, complete
from bentoship.bento.configuration import Configuration, check_variable, named_files, read_configuration
from bentoship.bento.content import content_version, file_stats, store_by_content, wrong_links
from bentoship.bento.description import trace_calls
from bentoship.bento.failures import Failure, FailureKind
from bentoship.bento.models import Models
from bentoship.bento.packing import NEVER_PACKED, NEVER_WALKED, Selection, may_hold_credentials, packed_in, select
from bentoship.bento.reading import Reading, leave_no_byte_code
from bentoship.bento.stand_ins import Missing, skip_errors
from bentoship.bento.states import states_of
from bentoship.bento.values import BuildContext, Env
from bentoship.errors import BentoError, PackagesError, causes
from bentoship.packages.requirements import paths_start
from bentoship.system.urls import without_passwords, without_secrets
from bentoship.system.values import dataclass

_FOREIGN = (NEVER_WALKED | {"site-packages"}) - {".git", "__pycache__"}
"""Names of folders in which nothing is the user's own; a service may read its version in .git."""


@dataclass(frozen=True)
class _Order:
    """What is to be built, and with what.

    Args:
        context: what the Bento is built from.
        scratch: a folder for what BentoML leaves.
        store: the folder that the Bento is put below.
        publisher: is asked for what this process cannot do.
        missing: knows the modules that are not installed.
    """

    context: BuildContext
    scratch: Path
    store: Path
    publisher: Asking
    missing: Missing


def main(context: Mapping[str, Any], scratch: str, store: str, python: str = "", part: str = "") -> None:
    """Build a Bento, and write {"bento": …}, {"error": …} or {"failure": …} to answer.json in a folder.

    Args:
        context: a BuildContext as JSON has it.
        scratch: the folder for the answer, and for what BentoML leaves.
        store: the folder that the Bento is put below.
        python: as of `bentoml_adapter.call_uv_our_way`.
        part: "image" for a Bento of what the service's image asks for alone, "image and bentoml" for one that requires
            this process's BentoML as well, "import" for the import of the service alone; empty for a whole Bento.
    """
    project = BuildContext.from_json(context)
    folder = project.folder
    leave_no_byte_code(lambda path: _is_own(path, folder))
    bentoml_adapter.parse_yaml_in_c()
    publisher = Asking()
    missing = Missing(lambda path: _is_own(path, folder), lambda name: _has_module(folder, name))
    sys.meta_path.append(missing)
    order = _Order(project, Path(scratch), Path(store), publisher, missing)
    named, sources = bentoml_adapter.follow_includes(
        project.wheels, publisher.flattened, publisher.with_constraints, publisher.with_wheels
    )
    uv_project.keep_indexes(lambda: publisher.indexes(project, named))
    uv_project.take_uv_lock(publisher.exported, sources)
    bentoml_adapter.call_uv_our_way(publisher.call_uv, python)
    try:
        if part == "import":
            answer: dict[str, Any] = {"bento": _import(order)}
        elif part:
            answer = {"bento": _specify(order, adds_bentoml=part == "image and bentoml")}
        else:
            answer = {"bento": _take(order) if project.bento else _build(order, named, sources)}
    except (BentoError, PackagesError) as error:
        answer = {"error": [error.doing, error.why, error.hint]}
    except BaseException as error:  # a service may raise anything when it is imported, SystemExit too
        traceback.print_exc()
        answer = {"failure": asdict(_with_missing(_failure_of(error, folder), error, order))}
    Path(scratch, "answer.json").write_text(json.dumps(answer), "utf-8")
    sys.stdout.flush()
    # Threads that the service started on import must not keep this process.
    os._exit(0)


def _configured(context: BuildContext) -> tuple[Configuration, Selection, dict[str, Any]]:
    """Return what the project says of its Bento, which files it packs, and the options by which BentoML does so."""
    configuration = read_configuration(context)
    options = configuration.options
    selection = select(context.folder, options, context.kept)
    bentoml_adapter.leave_out(selection.withheld)
    return configuration, selection, {**options, "exclude": [*(options.get("exclude") or []), *NEVER_PACKED]}


def _import(order: _Order) -> dict[str, Any]:
    """Import the service, and return nothing."""
    from bentoship.bento.specification import ImportedError, import_alone  # mostly not needed

    _, _, options = _configured(order.context)
    import_alone()
    with suppress(ImportedError):
        bentoml_adapter.build({**options, "models": []}, order.context, order.scratch)
    return {}


def _specify(order: _Order, *, adds_bentoml: bool) -> dict[str, Any]:
    """Return the description of a Bento that asks for what the service's image does."""
    from bentoship.bento.specification import build_image_alone  # mostly not needed

    context = order.context
    configuration, _, options = _configured(context)
    Models(context.bentoml_home, context.records).import_all(context.exported_models)
    order.missing.stand_in()
    skip_errors(lambda path: _is_own(path, context.folder))
    build_image_alone(adds_bentoml=adds_bentoml)
    built = bentoml_adapter.build({**options, "models": []}, context, order.scratch)
    description = bentoml_adapter.describe(built, configuration.options)
    place = order.store / "specified"
    shutil.move(built, place)
    return {**description, "path": str(place)}


def _build(order: _Order, named: Collection[Path], sources: Collection[Path]) -> dict[str, Any]:
    context = order.context
    models = Models(context.bentoml_home, context.records)
    imported = models.import_all(context.exported_models)
    configuration, selection, guarded = _configured(context)
    options = configuration.options
    stores = (context.bentoml_home, context.records)
    reading = Reading(context.folder, lambda file: _is_own(file, context.folder), stores, context.kept)
    modules = Modules(context.folder, lambda file: _is_own(file, context.folder))
    with trace_calls() as called:
        built = bentoml_adapter.build(guarded, context, order.scratch)
    complete(built, context.folder, selection, options)
    modules.check(built, selection, options)
    own = {context.folder / "bentofile.yaml", *named, *named_files(context.folder, options)}
    pyproject = context.folder / "pyproject.toml"  # which has indexes, too
    own |= {configuration.file or pyproject, pyproject}
    names = [file.relative_to(context.folder) for file in own if _is_own(str(file), context.folder)]
    _change([built / "src" / place for name in names for place in (name, name.name)], without_secrets)
    _change((built / "env" / "python").glob("*.*"), without_passwords)
    description = bentoml_adapter.describe(built, options)
    order.publisher.refuse_secrets(context, built, _variables(description), _named(description))
    in_wheels = packed_in(paths_start(built) / "wheels", sorted(sources))
    order.publisher.refuse_secret_files(context, {os.path.relpath(file, context.folder): file for file in in_wheels})
    stored = store_by_content(built, order.store)
    return {
        **description,
        "version": stored.name,
        "path": str(stored),
        "models": [_checked(model, models) for model in description["models"]],
        "imported_models": imported,
        "modules": _modules(called, context.folder),
        "read": {**reading.states(but=selection.packed), **states_of(context.folder, sources)},
        "credentials": [name for name in reading.asked_for if may_hold_credentials(name)],
        "changed": reading.changed(),
        "written": reading.written,
    }


def _take(order: _Order) -> dict[str, Any]:
    """Return the description of a Bento that is built already, and is packed as it is."""
    from bentoship.bento.specification import import_new_models_alone  # mostly not needed

    context = order.context
    models = Models(context.bentoml_home, context.records)
    imported = models.import_all(context.exported_models)
    import_new_models_alone()
    path = bentoml_adapter.take(context, order.scratch, order.store)
    if wrong := list(wrong_links(path)):
        hint = "Build it again with copies in place of links."
        raise BentoError(f"Pack the Bento {context.bento}", "; ".join(wrong), hint)
    description = bentoml_adapter.describe(path, {})
    order.publisher.refuse_secrets(context, path, _variables(description), _named(description))
    return {
        **description,
        "content": content_version(path),
        "models": [_checked(model, models) for model in description["models"]],
        "imported_models": imported,
        "modules": {},
        "read": {},
        "changed": [],
        "written": [],
    }


def _named(description: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return what else of a description has names, by what it is called."""
    return {"label": description["labels"], "argument": description["arguments"]}


def _variables(description: Mapping[str, Any]) -> list[Env]:
    """Return the variables of a description. Raises BentoError for one that no process can have."""
    variables = [Env(**env) for env in description["envs"]]
    for variable in variables:
        check_variable(variable.name, variable.value)
    return variables


def _checked(model: dict[str, Any], models: Models) -> dict[str, Any]:
    """Return the description of a model with what its files have to be."""
    tag, path = f"{model['name']}:{model['version']}", Path(model["path"])
    digests = models.digests.get(tag, {})
    if not digests:
        models.check(tag, path)
    return {**model, "digests": digests, "stats": file_stats(path)}


def _change(files: Iterable[Path], change: Callable[[str], str]) -> None:
    """Update what files of a Bento say of package indexes, whose passwords only those need who install packages.

    Args:
        files: those that exist are changed; BentoML packs the bentofile at the top.
        change: returns the new text.
    """
    for file in files:
        if file.is_file() and (text := file.read_bytes().decode("latin-1")) != (clean := change(text)):
            file.write_bytes(clean.encode("latin-1"))


def _modules(called: Collection[CodeType], project: Path) -> dict[str, list[str]]:
    """Return the project's modules that were imported, each with those of its functions that were run."""
    names: dict[str, set[str]] = {}
    for code in called:
        if code.co_filename.endswith(".py") and _is_own(code.co_filename, project):  # templates are run as code, too
            # Before Python 3.11 there are no qualified names, so that each change needs another import.
            names.setdefault(code.co_filename, set()).add(getattr(code, "co_qualname", ""))
    return {Path(file).relative_to(project).as_posix(): sorted(run) for file, run in names.items() if "<module>" in run}


def _failure_of(error: BaseException, project: Path) -> Failure:
    """Return why there is no Bento, with where in the user's own files it came from."""
    if isinstance(error, IncompleteError):
        return error.failure
    # A group, such as cattrs raises for unknown keys in a bentofile.yaml; before Python 3.11, its class is a package's.
    while isinstance(inner := getattr(error, "exceptions", None), tuple) and inner:
        error = inner[-1]
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return Failure(FailureKind.OTHER, f"{error.filename}: {error.strerror}")
    failure = bentoml_adapter.failure_of(error)
    # BentoML wraps what a service's module raises. The deepest error that comes from the user's files is the one to
    # mend; for one that comes from nowhere in them, BentoML's own words say more than its cause.
    for cause in reversed(causes(error)):
        if position := _position(cause, project):
            words = cause.msg if isinstance(cause, SyntaxError) else str(cause)
            message = f"{type(cause).__name__}: {words.partition(bentoml_adapter.ASKED_BENTOCLOUD)[0]} ({position})"
            kind = FailureKind.MISSING_MODEL if failure.kind == FailureKind.MISSING_MODEL else FailureKind.SERVICE
            return Failure(kind, message)
    return failure


def _with_missing(failure: Failure, error: BaseException, order: _Order) -> Failure:
    """Return a failure with the package that may be its cause: one that is not installed here, or is another version.

    `with bentoml.importing()`, or a `try` of the user's, may have caught the first error.
    """
    folder, found = order.context.folder, causes(error)
    # BentoML imports what a service declares, such as a hub's package for a model, when the service is imported.
    from_service = isinstance(error, ImportError) or any(_position(one, folder) for one in found)
    if failure.kind != FailureKind.SERVICE or not from_service:
        return failure
    for cause in found:
        if isinstance(cause, ImportError) and not _has_module(folder, (cause.name or "").partition(".")[0]):
            return replace(failure, missing=cause.name or str(cause))
        if isinstance(cause, (NameError, AttributeError, TypeError)):
            names = [*order.missing.names, *_namespace(getattr(cause, "obj", None))]
            return replace(failure, missing=names[0]) if names else failure
    return failure


def _namespace(obj: object) -> list[str]:
    """Return the name of a folder that Python takes for a package, as it has the name of one that is not installed."""
    is_folder = isinstance(obj, ModuleType) and hasattr(obj, "__path__") and not getattr(obj, "__file__", None)
    return [str(vars(obj)["__name__"])] if is_folder else []


def _has_module(project: Path, name: str) -> bool:
    """Return whether a project has a module; a folder of data, or with the sources of a package, is none.

    Args:
        project: the build context.
        name: its first name; empty for none.
    """
    places = [project / place / name for place in ("", "src")] if name else []
    return any(place.with_name(f"{name}.py").is_file() or _has_modules(place) for place in places)


def _has_modules(folder: Path) -> bool:
    names = {path.name for path in folder.glob("*.*")}
    if names & {"pyproject.toml", "setup.py"}:
        return "__init__.py" in names
    return any(name.endswith(".py") for name in names)


def _position(error: BaseException, project: Path) -> str:
    """Return where in the project an error was raised; empty for elsewhere."""
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename, project):
        return f"{Path(error.filename).relative_to(project)}, line {error.lineno}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename, project)]
    return f"{Path(own[-1].filename).relative_to(project)}, line {own[-1].lineno}" if own else ""


def _is_own(filename: str, project: Path) -> bool:
    """Return whether a file is one of the user's, neither a package's nor the publisher's."""
    path = Path(os.path.normpath(filename))
    if not path.is_relative_to(project) or path.is_relative_to(Path(__file__).parents[1]):
        return False
    # Python itself may be below the project, as conda puts it there.
    pythons = [Path(prefix) for prefix in (sys.prefix, sys.base_prefix) if not project.is_relative_to(prefix)]
    folders = set(path.relative_to(project).parts[:-1])
    return not any(map(path.is_relative_to, pythons)) and not folders & _FOREIGN
