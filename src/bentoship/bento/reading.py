"""Hooks of the import of a service: what it reads is noted (by an audit hook, PEP 578), and no byte-code is left."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FrameType

from bentoship.bento.states import EVERYTHING, Stamp, folder_state, stamp, state_of
from bentoship.system.process import environment

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EMPTYING = os.O_TRUNC | os.O_EXCL
"""What opens an empty file, though it may be for reading, too."""
_STARTING = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
"""What starts another process."""
_LIBRARY = str(Path(os.__file__).parent)
_SYSTEM = (
    "/usr", "/etc", "/proc", "/sys", "/dev", "/bin", "/lib", "/lib64", "/run", "/tmp", "/var/cache", "/var/tmp",
)  # fmt: skip
"""Where nothing is the user's own, unless the project is there."""


class Reading:
    """The files that are opened and the folders that are listed from now on, until the process ends.

    Files that an extension module opens by itself are not noticed. What another process reads is not, either, so once
    the user's code starts one, all files of the project count.

    Args:
        project: the project.
        is_own: returns whether a file in it is one of the user's.
        stores: folders whose files do not count. Those of the system, of Python and of caches do not, either.
        kept: of the project's BuildContext.
    """

    def __init__(
        self,
        project: Path,
        is_own: Callable[[str], bool],
        stores: Collection[Path],
        kept: Collection[str] = (),
    ) -> None:
        self._project = project
        self._kept = kept
        self._is_own = is_own
        named = {*map(Path, (*_SYSTEM, sys.prefix, sys.base_prefix)), *_caches(), *stores}
        places = named | {place.resolve() for place in named}  # a cache may be a link to another disk
        around = (f"{place}/" for place in places if not project.is_relative_to(place))
        self._foreign = (*around, f"{_LIBRARY}/", f"{Path(__file__).parents[1]}/")
        self._seen: dict[str, Stamp | str] = {}
        self._written: set[str] = set()
        self._asked: set[str] = set()
        self._starts_others = False
        sys.addaudithook(self._note)

    @property
    def written(self) -> list[str]:
        """Return the files that were opened for writing, by their paths from the project, sorted."""
        return sorted(map(self._relative, self._written))

    @property
    def asked_for(self) -> list[str]:
        """Return the files of the project that the user's code opened and did not write, by path in it, sorted."""
        return sorted(map(self._relative, self._asked - self._written))

    def states(self, *, but: Collection[str]) -> dict[str, str]:
        """Return the states of what was read, by path from the project; folders end in a slash.

        What was written first is a result of the import. What was read first counts as it was left.

        Args:
            but: the files whose states are known anyway.
        """
        names = {self._relative(path): path for path in self._seen}
        unsettled = {path for path in self._changing() if not self._is_inside(path)}
        states = {
            name: "unsettled" if names[name] in unsettled else state_of(self._project, name)
            for name in sorted(names.keys() - but)
        }
        if self._starts_others:
            states[EVERYTHING] = state_of(self._project, EVERYTHING, self._kept)
        return states

    def changed(self) -> list[str]:
        """Return what of the project is not as it was when it was first read, by path in it."""
        return sorted(map(self._relative, filter(self._is_inside, self._changing())))

    def _changing(self) -> Iterator[str]:
        seen = ((path, before) for path, before in self._seen.items() if path not in self._written)
        return (path for path, before in seen if _now(path) != before)

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
            elif event in _STARTING:
                self._starts_others |= _is_asked_by(self._is_own, through_packages=True)

    def _opened(self, path: object, flags: object) -> None:
        file, how = self._absolute(path), flags if isinstance(flags, int) else 0
        if how & os.O_ACCMODE != os.O_WRONLY and not how & _EMPTYING:
            self._remember(file)
            if self._is_inside(file) and file not in self._asked and self._is_own(file) and Path(file).is_file():
                self._asked |= {file} if _is_asked_by(self._is_own, through_packages=True) else set()
        if how & _WRITING and not file.startswith(self._foreign):
            self._written.add(file)

    def _remember(self, path: str) -> None:
        known = path in self._seen or path in self._written or "/__pycache__/" in path
        if not known and not path.startswith(self._foreign) and self._counts(path):
            self._seen[path] = _now(path)

    def _counts(self, path: str) -> bool:
        if self._is_inside(path):
            return self._is_own(path)
        folders = self._relative(path).split("/")[:-1]
        return not any(name == "site-packages" or (name[:1] == "." and name != "..") for name in folders)

    def _is_inside(self, path: str) -> bool:
        return path.startswith(f"{self._project}/")

    @staticmethod
    def _absolute(path: object) -> str:
        """Return an absolute path. Raises TypeError for a file descriptor."""
        # Of what links lead to, the state knows; resolving them would take longer.
        # Anything else that is audited raises TypeError, as said above. A text is quicker than a path.
        return os.path.abspath(os.fsdecode("." if path is None else path))  # type: ignore[arg-type]  # noqa: PTH100


def _caches() -> Iterator[Path]:
    """Yield the folders that variables name in which libraries keep what they get or make."""
    for name, value in environment(prefixes=("HF_", "BENTOML_")).items():
        if name == "TMPDIR" or name.endswith(("_HOME", "_CACHE", "_DIR")):
            yield Path(value).absolute()


def _now(path: str) -> Stamp | str:
    return folder_state(Path(path)) if path.endswith("/") else stamp(path)


def _is_asked_by(is_own: Callable[[str], bool], *, through_packages: bool = False) -> bool:
    """Return whether the user's code asked for what is being audited, itself or through the standard library.

    The import system lists folders as well, and so do packages that look for each other.

    Args:
        is_own: as for Reading.
        through_packages: whether also a package may do it that the user's code calls, but does not just import.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame:
        file = frame.f_code.co_filename
        if "importlib" in file:
            return False
        is_library = file.startswith("<frozen") or (file.startswith(_LIBRARY) and "site-packages" not in file)
        is_passed = is_library or file == __file__ or file.startswith("<")
        if not is_passed and (is_own(file) or not through_packages):
            return is_own(file)
        frame = frame.f_back
    return False


def leave_no_byte_code(is_own: Callable[[str], bool]) -> None:
    """Write byte-code for packages only, and none among the user's files, where git would see it.

    Args:
        is_own: returns whether a path is among the user's files.
    """
    set_data = SourceFileLoader.set_data

    def set_foreign_data(self: SourceFileLoader, path: str, data: bytes, *, _mode: int = 0o666) -> None:
        if not is_own(path):
            set_data(self, path, data, _mode=_mode)

    # Python has no other way to disable byte-code for some modules only.
    SourceFileLoader.set_data = set_foreign_data  # type: ignore[method-assign,assignment]  # a hook
