"""Rebuilding a Bento incrementally, when only bodies of functions changed that its import does not run."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentoship.bento.content import store_by_content
from bentoship.bento.description import fingerprint
from bentoship.bento.lazy_imports import unpacked_modules
from bentoship.bento.secrets import Scanner
from bentoship.bento.states import file_state
from bentoship.bento.values import BuildContext
from bentoship.system.files import temporary_folder


def revise(
    context: BuildContext, previous: Mapping[str, Any], files: Mapping[str, str], store: Path
) -> dict[str, Any] | None:
    """Rebuild a Bento incrementally and return its description; None when a full build is needed.

    Args:
        context: what it is built from.
        previous: the description of the previous build, with the "files" that it packed and their states, and the
            "modules" that it imported, each with its "fingerprint" and the functions that were "run".
        files: the project's current files and their states.
        store: the store to put the Bento into.

    Raises: BentoError when a secret would be packed.
    """
    project = context.folder
    former = previous["files"]
    changed = [name for name in files.keys() | former.keys() if files.get(name) != former.get(name)]
    if not changed or not all(_keeps_description(project, name, previous, files) for name in changed):
        return None
    if unpacked_modules(project, [name for name in changed if name.endswith(".py")], files.keys(), ["", "src"]):
        return None
    bento = Path(previous["path"])
    places = {name: place for name in changed if (place := _packed_path(bento, name, former[name]))}
    if len(places) < len(changed):
        return None
    with temporary_folder(context.scratch, "revision-") as folder:
        copy = Path(folder, previous["name"], "revising")
        shutil.copytree(bento, copy, symlinks=True)
        for name, place in places.items():
            shutil.copyfile(project / name, copy / place)
        Scanner(context).refuse_files({name: copy / place for name, place in places.items()})
        path = store_by_content(copy, store)
    fresh = {"changed": [], "written": [], "imported_models": [], "environment": ""}
    return {**previous, **fresh, "version": path.name, "path": str(path)}


def _keeps_description(project: Path, name: str, previous: Mapping[str, Any], files: Mapping[str, str]) -> bool:
    """Return whether the change of a file certainly does not change the service's description."""
    module = previous["modules"].get(name)
    former, state = previous["files"].get(name, ""), files.get(name, "")
    # A module that existed before, and still is a regular file with the same mode.
    if not module or former[:2] != state[:2] or state[:1] not in "01":
        return False
    try:
        return bool(fingerprint((project / name).read_bytes(), module["run"]) == module["fingerprint"])
    except SyntaxError:
        return False


def _packed_path(bento: Path, name: str, state: str) -> Path | None:
    """Return the path of a project's file in a Bento; None when it is not there in the given state."""
    places = (Path("src", name), Path("src", name.removeprefix("src/")))
    return next((place for place in places if file_state(bento / place) == state), None)
