"""What a Bento has to hold for its service to start: compared with what was selected and imported, in one place."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path, PurePath

from bentoship.bento.child_process import Failure, FailureKind
from bentoship.bento.packing import Selection
from bentoship.packages.requirements import canonical_name, portable_lines


class IncompleteError(Exception):
    """A Bento lacks something. Args: failure: what, and why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def complete(bento: Path, project: Path, selection: Selection, *, is_src_layout: bool) -> None:
    """Put files in place of links, which BentoML packs as they are, and check that every selected file is there.

    Args:
        bento: the Bento's folder.
        project: the build context.
        selection: the files that it packs.
        is_src_layout: whether the content of src/ is packed above it.

    Raises: IncompleteError.
    """
    source = bento / "src"
    places: dict[Path, str] = {}
    for name in selection.packed:
        place = source / (name.removeprefix("src/") if is_src_layout else name)
        if place in places:
            message = f"{places[place]} and {name} have the same place in the Bento"
            raise IncompleteError(Failure(FailureKind.NOT_PACKED, message))
        places[place] = name
        if name in selection.linked:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            shutil.copy(project / name, place)
    missing = [name for place, name in places.items() if place.is_symlink() or not place.is_file()]
    if missing:
        message = f"BentoML has not packed {', '.join(missing)}"
        raise IncompleteError(Failure(FailureKind.NOT_PACKED, message))


class Modules:
    """The modules of the project that are imported from now on.

    Args:
        project: the build context.
        is_own: returns whether a file is one of the user's.
    """

    def __init__(self, project: Path, is_own: Callable[[str], bool]) -> None:
        self._project = project
        self._is_own = is_own
        self._path = {os.path.realpath(place) for place in sys.path}

    def check(self, bento: Path, selection: Selection, *, is_src_layout: bool) -> None:
        """Check that the image can import each module under the same name. Takes what `complete` does.

        Raises: IncompleteError.
        """
        modules = dict(self._imported())
        if not modules or self._is_installed(bento):
            return
        if missing := sorted(set(modules.values()).difference(selection.packed)):
            verb = (
                "was imported with the service, and is"
                if len(missing) == 1
                else "were imported with the service, and are"
            )
            raise IncompleteError(Failure(FailureKind.NOT_PACKED, f"{', '.join(missing)} {verb} not packed"))
        found = {"", "src"} if is_src_layout else {""}
        for name, file in sorted(modules.items()):
            root = _root(name, file)
            # The service itself may add a folder to the path, which it does in the image as well.
            if root is not None and root not in found and os.path.realpath(self._project / root) in self._path:
                message = f"the module {name} was imported from {root}/, where the image does not look for modules"
                raise IncompleteError(Failure(FailureKind.LAYOUT, message))

    def _imported(self) -> Iterator[tuple[str, str]]:
        """Yield names of modules and their files' paths in the project."""
        for module in list(sys.modules.values()):
            name, file = getattr(getattr(module, "__spec__", None), "name", None), getattr(module, "__file__", None)
            if isinstance(name, str) and isinstance(file, str) and self._is_own(file):
                yield name, Path(file).relative_to(self._project).as_posix()

    def _is_installed(self, bento: Path) -> bool:
        """Return whether the image gets the project as a package, which is installed here as a link to its sources."""
        try:
            locked = {canonical_name(line) for line in portable_lines(_lock(bento))}
        except FileNotFoundError:
            return False
        return bool(locked & set(_packages_of(self._project)))


def _lock(bento: Path) -> str:
    return (bento / "env" / "python" / "requirements.txt").read_text("utf-8")


def _packages_of(project: Path) -> Iterable[str]:
    """Yield the names of the packages that are installed as links to a project's sources (PEP 610)."""
    for distribution in distributions(path=[place for place in sys.path if "site-packages" in place]):
        text = distribution.read_text("direct_url.json")
        if text and json.loads(text).get("url") == project.as_uri():
            yield canonical_name(distribution.metadata["Name"])


def _root(module: str, file: str) -> str | None:
    """Return the folder that a module's name starts from, by its path in the project; None when the name is another."""
    path = PurePath(file)
    parts = path.parent.parts if path.stem == "__init__" else (*path.parent.parts, path.name.partition(".")[0])
    names = tuple(module.split("."))
    return "/".join(parts[: -len(names)]) if parts[-len(names) :] == names else None
