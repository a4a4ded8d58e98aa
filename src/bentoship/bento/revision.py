"""A Bento from the one before it, where only bodies of functions have changed that its import does not run."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentoship.bento.content import store_by_content
from bentoship.bento.description import fingerprint
from bentoship.bento.inputs import file_state


def revise(project: Path, previous: Mapping[str, Any], files: Mapping[str, str], store: Path) -> dict[str, Any] | None:
    """Make the Bento as a build would make it, and return what that would tell; None when only a build tells.

    Args:
        project: the build context.
        previous: what the build before has told: also the "files" that the Bento was made of, with their states, and
            the "modules" that it has imported, each with its "fingerprint" and what of it was "run".
        files: the project's files now.
        store: the folder that the Bento is put below.
    """
    former = previous["files"]
    changed = [name for name in files.keys() | former.keys() if files.get(name) != former.get(name)]
    if not changed or not all(_keeps_description(project, name, previous, files) for name in changed):
        return None
    bento = Path(previous["path"])
    places = {name: place for name in changed if (place := _packed_path(bento, name, former[name]))}
    if len(places) < len(changed):
        return None
    with tempfile.TemporaryDirectory(prefix="bentoship-") as scratch:
        copy = Path(scratch, previous["name"], "revising")
        shutil.copytree(bento, copy, symlinks=True)
        for name, place in places.items():
            shutil.copyfile(project / name, copy / place)
        path = store_by_content(copy, store)
    return {**previous, "version": path.name, "path": str(path), "files": files, "imported_models": []}


def _keeps_description(project: Path, name: str, previous: Mapping[str, Any], files: Mapping[str, str]) -> bool:
    """Return whether the change of a file cannot change what the service is."""
    module = previous["modules"].get(name)
    former, state = previous["files"].get(name, ""), files.get(name, "")
    # A module that was there, and is an ordinary file of the same mode still.
    if not module or former[:2] != state[:2] or state[:1] not in "01":
        return False
    try:
        return bool(fingerprint((project / name).read_bytes(), module["run"]) == module["fingerprint"])
    except SyntaxError:
        return False


def _packed_path(bento: Path, name: str, state: str) -> Path | None:
    """Return where a Bento has a project's file, by its path in the Bento; None where that is not as it was built."""
    places = (Path("src", name), Path("src", name.removeprefix("src/")))
    return next((place for place in places if file_state(bento / place) == state), None)
