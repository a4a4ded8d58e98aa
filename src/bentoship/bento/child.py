"""The process that imports the user's service and builds its Bento.

One process per build: a second build in the same one would pack the first one's modules again. It is told what to do
by its argument and answers into a file, because the service may print whatever it likes while it is imported.
"""

import json
import os
import sys
import traceback
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from types import CodeType
from typing import Any

from bentoship.bento import bentoml_adapter
from bentoship.bento.child_process import Failure, FailureKind
from bentoship.bento.content import store_by_content
from bentoship.bento.description import fingerprint, trace_calls
from bentoship.bento.inputs import input_states, read_bentofile
from bentoship.bento.packing import NEVER_PACKED, select
from bentoship.bento.values import BuildContext
from bentoship.errors import causes


def main(context: Sequence[str], platform: str, scratch: str, store: str) -> None:
    """Build a Bento, and write {"bento": …} or {"failure": …} to answer.json in a folder.

    Args:
        context: the folders of a BuildContext.
        platform: its platform.
        scratch: the folder for the answer, and for what BentoML leaves.
        store: the folder that the Bento is put below.
    """
    folder, records, bentoml_home = map(Path, context)
    project = BuildContext(folder, records, bentoml_home, platform)
    bentoml_adapter.leave_no_byte_code(lambda path: _is_own(path, folder))
    bentoml_adapter.parse_yaml_in_c()
    bentoml_adapter.follow_includes()
    bentoml_adapter.call_uv_our_way()
    try:
        answer: dict[str, Any] = {"bento": _build(project, Path(scratch), Path(store))}
    except BaseException as error:  # a service may raise anything when it is imported, SystemExit too
        traceback.print_exc()
        answer = {"failure": asdict(_failure_of(error, folder))}
    Path(scratch, "answer.json").write_text(json.dumps(answer), "utf-8")
    sys.stdout.flush()
    # Threads that the service started on import must not keep this process.
    os._exit(0)


def _build(context: BuildContext, scratch: Path, store: Path) -> dict[str, Any]:
    imported = [tag for archive in context.exported_models if (tag := bentoml_adapter.import_model(archive))]
    options = read_bentofile(context.bentofile)
    guarded = {**options, "exclude": [*(options.get("exclude") or []), *NEVER_PACKED]}
    bentoml_adapter.leave_out(select(context.folder, options).withheld)
    files = input_states(context.folder, context.bentofile)
    with trace_calls() as called:
        built = bentoml_adapter.build(guarded, context.folder, scratch, context.platform)
    description = bentoml_adapter.describe(store_by_content(built, store), options)
    return {**description, "imported_models": imported, "files": files, "modules": _modules(called, context.folder)}


def _modules(called: Collection[CodeType], project: Path) -> dict[str, dict[str, Any]]:
    """Return the project's modules that were imported: what decides of each, and which of its functions were run."""
    names: dict[str, set[str]] = {}
    for code in called:
        if code.co_filename.endswith(".py") and _is_own(code.co_filename, project):  # templates are run as code, too
            names.setdefault(code.co_filename, set()).add(code.co_qualname)
    return {
        Path(file).relative_to(project).as_posix(): {
            "fingerprint": fingerprint(Path(file).read_bytes(), run),
            "run": sorted(run),
        }
        for file, run in names.items()
        if "<module>" in run
    }


def _failure_of(error: BaseException, project: Path) -> Failure:
    """Return why there is no Bento, with where in the user's own files it came from."""
    while isinstance(error, BaseExceptionGroup):  # such as cattrs raises for a bentofile.yaml with unknown keys
        error = error.exceptions[-1]
    failure = bentoml_adapter.failure_of(error)
    # BentoML wraps what a service's module raises. The deepest error that comes from the user's files is the one to
    # mend; what comes from nowhere in them, BentoML's own words tell better than its cause.
    for cause in reversed(causes(error)):
        if position := _position(cause, project):
            words = cause.msg if isinstance(cause, SyntaxError) else str(cause)
            message = f"{type(cause).__name__}: {words.partition(bentoml_adapter.ASKED_BENTOCLOUD)[0]} ({position})"
            kind = FailureKind.MISSING_MODEL if failure.kind == FailureKind.MISSING_MODEL else FailureKind.SERVICE
            return Failure(kind, message)
    return failure


def _position(error: BaseException, project: Path) -> str:
    """Return where in the project an error was raised; empty for elsewhere."""
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename, project):
        return f"{Path(error.filename).relative_to(project)}, line {error.lineno}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename, project)]
    return f"{Path(own[-1].filename).relative_to(project)}, line {own[-1].lineno}" if own else ""


def _is_own(filename: str, project: Path) -> bool:
    """Return whether a file is one of the user's, neither a package's nor the publisher's."""
    path = Path(filename)
    foreign = path.is_relative_to(Path(__file__).parents[1]) or {"site-packages", ".venv", "venv"} & set(path.parts)
    return path.is_relative_to(project) and not foreign
