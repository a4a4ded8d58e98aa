"""What of a project the import of its service reads, noticed by an audit hook (PEP 578), in the build process."""

import os
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from types import FrameType

from bentoship.bento.inputs import Stamp, folder_state, stamp, state_of

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LIBRARY = str(Path(os.__file__).parent)


class Reading:
    """The files that are opened and the folders that are listed from now on, until the process ends.

    Files that an extension module opens by itself are not noticed.

    Args:
        project: the project, whose files count.
        is_own: returns whether a file in it is one of the user's.
    """

    def __init__(self, project: Path, is_own: Callable[[str], bool]) -> None:
        self._project = project
        self._is_own = is_own
        self._seen: dict[str, Stamp | str] = {}
        self._written: set[str] = set()
        sys.addaudithook(self._note)

    @property
    def written(self) -> list[str]:
        """Return the files that were opened for writing, by their paths in the project, sorted."""
        return sorted(map(self._relative, self._written))

    def states(self, *, but: Collection[str]) -> dict[str, str]:
        """Return the states of what was read and not written, by path in the project; folders end in a slash.

        Args:
            but: the files whose states are known anyway.
        """
        names = {self._relative(path) for path in self._seen.keys() - self._written}
        return {name: state_of(self._project, name) for name in sorted(names.difference(but))}

    def changed(self) -> list[str]:
        """Return what is not as it was when it was first read, by path in the project."""
        seen = {path: before for path, before in self._seen.items() if path not in self._written}
        return sorted(self._relative(path) for path, before in seen.items() if _now(path) != before)

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._project) + ("/" if path.endswith("/") else "")

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        # An error here would be raised by whatever is being audited.
        with suppress(Exception):
            if event == "open":
                self._opened(arguments[0], arguments[2])
            elif event == "sqlite3.connect":
                self._remember(self._absolute(arguments[0]))
            elif event == "import" and arguments[1]:  # an extension module
                self._remember(self._absolute(arguments[1]))
            elif event in {"os.listdir", "os.scandir"} and _is_asked_by(self._is_own):
                self._remember(f"{self._absolute(arguments[0])}/")

    def _opened(self, path: object, flags: object) -> None:
        if isinstance(flags, int) and flags & _WRITING:
            if self._is_inside(written := self._absolute(path)):
                self._written.add(written)
        else:
            self._remember(self._absolute(path))

    def _remember(self, path: str) -> None:
        known = path in self._seen or path in self._written or "/__pycache__/" in path
        if not known and self._is_inside(path) and self._is_own(path):
            self._seen[path] = _now(path)

    def _is_inside(self, path: str) -> bool:
        return path.startswith(f"{self._project}/")

    @staticmethod
    def _absolute(path: object) -> str:
        """Return an absolute path. Raises TypeError for a file descriptor."""
        # Of what links lead to, the state knows; resolving them would take longer.
        # Anything else that is audited raises TypeError, as said above. A text is quicker than a path.
        return os.path.abspath(os.fsdecode("." if path is None else path))  # type: ignore[arg-type]  # noqa: PTH100


def _now(path: str) -> Stamp | str:
    return folder_state(Path(path)) if path.endswith("/") else stamp(path)


def _is_asked_by(is_own: Callable[[str], bool]) -> bool:
    """Return whether the user's code asked for what is being audited, itself or through the standard library.

    The import system lists folders as well, and so do packages that look for each other.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame:
        file = frame.f_code.co_filename
        if "importlib" in file:
            return False
        is_library = file.startswith("<frozen") or (file.startswith(_LIBRARY) and "site-packages" not in file)
        if not is_library and file != __file__ and not file.startswith("<"):
            return is_own(file)
        frame = frame.f_back
    return False
