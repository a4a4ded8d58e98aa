"""A Bento from the one before it, where only bodies of functions have changed that its import does not run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bentoship.bento.content import content_version, titled
from bentoship.bento.description import fingerprint
from bentoship.bento.inputs import state
from bentoship.system.files import write_whole


def revised(
    project: Path, before: Mapping[str, Any], files: Mapping[str, str], into: Path | None
) -> dict[str, Any] | None:
    """What a build would tell of the Bento, which is made as a build would make it; None when only a build tells.

    Args:
        project: the build context.
        before: what the build before has told: also the "files" that the Bento was made of, with their states, and the
            "modules" that it has imported, each with its "fingerprint" and what of it was "run".
        files: the project's files now.
        into: an empty folder for the Bento; None for the store.
    """
    changed = [name for name in files.keys() | before["files"].keys() if files.get(name) != before["files"].get(name)]
    if not changed or not all(_decides_nothing(project, name, before, files) for name in changed):
        return None
    old = Path(before["path"])
    places = {name: place for name in changed if (place := _place(old, name, before["files"][name]))}
    if len(places) < len(changed):
        return None
    copy = into or old.with_name(f"renaming-{os.getpid()}")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(old, copy, symlinks=True)
    try:
        for name, place in places.items():
            shutil.copyfile(project / name, copy / place)
        version = content_version(copy)
        _rename(copy, before["version"], version)
        path = copy
        if into is None:
            path = old.with_name(version)
            shutil.rmtree(path, ignore_errors=True)
            copy.rename(path)
            write_whole(old.parent / "latest", version.encode())
        return {**before, "version": version, "path": str(path), "files": files, "imported_models": []}
    finally:
        if into is None:
            shutil.rmtree(copy, ignore_errors=True)


def _decides_nothing(project: Path, name: str, before: Mapping[str, Any], files: Mapping[str, str]) -> bool:
    """Whether a change of a file cannot change what the service is."""
    module = before["modules"].get(name)
    was, now = before["files"].get(name, ""), files.get(name, "")
    # A module that was there, and is an ordinary file of the same mode still.
    if not module or was[:2] != now[:2] or now[:1] not in "01":
        return False
    try:
        return bool(fingerprint((project / name).read_bytes(), module["run"]) == module["fingerprint"])
    except SyntaxError:
        return False


def _place(bento: Path, name: str, former: str) -> Path | None:
    """Where a Bento has a project's file, by its path in the Bento; None where that is not as it was built."""
    for place in (Path("src", name), Path("src", name.removeprefix("src/"))):
        if state(bento / place) == former:
            return place
    return None


def _rename(bento: Path, former: str, version: str) -> None:
    """Put another version where BentoML writes it."""
    info = bento / "bento.yaml"
    text = re.sub(r"(?m)^version: .*$", f"version: {version}", info.read_text("utf-8"), count=1)
    now = datetime.now(UTC).isoformat()
    info.write_text(re.sub(r"(?m)^creation_time: .*$", f"creation_time: '{now}'", text, count=1), "utf-8")
    readme = bento / "README.md"
    readme.write_bytes(titled(readme.read_bytes(), former, version))
