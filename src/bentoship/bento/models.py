"""Models in BentoML's store: imported from a project's archives, whole or not at all, and compared with those."""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

import yaml

from bentoship.bento.content import file_stats
from bentoship.bento.failures import EXPORT
from bentoship.errors import reason
from bentoship.system import records
from bentoship.system.documents import read_yaml
from bentoship.system.files import close_to_others, digest_of, file_lock, private_folder, temporary_folder, write_whole
from bentoship.system.tars import Member
from bentoship.system.values import dataclass

_NAME = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*")
"""What a model's name and version may be (tag_regex in bentoml/_internal/tag.py)."""

_POINTER = b"version https://git-lfs"

_SMALL, _RATIO = 1 << 32, 100
"""The bytes that a model's files may have together, and how many times the size of its archive."""


@dataclass(frozen=True)
class Exported:
    """A model in an archive. Args: name, version: its tag; digests: SHA-256 of each file, by path in it."""

    name: str
    version: str
    digests: Mapping[str, str]

    @property
    def tag(self) -> str:
        """Return NAME:VERSION."""
        return f"{self.name}:{self.version}"


class Models:
    """A store of models.

    Args:
        home: BentoML's home folder.
        kept: the folder for records of what the models were.
    """

    def __init__(self, home: Path, kept: Path) -> None:
        self._home = home
        self._store = home / "models"
        self._kept = kept
        self.digests: dict[str, Mapping[str, str]] = {}
        """The digests of the files of each model that an archive holds, by tag."""

    def import_all(self, archives: Iterable[Path]) -> list[str]:
        """Import the exported models that the store lacks, or in which a file is missing or damaged; return their tags.

        Raises: ValueError when an archive is damaged, or of something else; after all others are imported.
        """
        imported, wrong = [], []
        for archive in archives:
            try:
                imported += [tag] if (tag := self._import(archive)) else []
            except _AnotherError as another:
                wrong.append(f"{archive.name} is not imported: {another}")
            except _DAMAGED as error:
                if isinstance(error, OSError) and error.errno and error.errno not in _OF_NAMES:  # of the disk
                    raise
                wrong.append(f"{archive.name} is no exported model ({_why(archive, error)}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return imported

    def has_all(self, archives: Iterable[Path]) -> bool:
        """Return whether the store has the exported models, as far as that is known without unpacking them."""
        try:
            return all(known and self._is_whole(known) for known in map(self._known, archives))
        except OSError:  # an archive that cannot be read
            return False

    def check(self, tag: str, path: Path) -> None:
        """Compare a model without an archive with what it was when it was packed before, by the sizes of its files.

        BentoML gives a model that is saved again another creation time, in its model.yaml.

        Raises: ValueError when a file is missing or has another size.
        """
        record = self._kept / f"model-{records.key_of(str(path))}.json"
        saved = hashlib.sha256((path / "model.yaml").read_bytes()).hexdigest()
        sizes = {name: size for name, (size, _) in file_stats(path).items()}
        before = records.read_as(record, lambda data: {**data["sizes"]} if data["saved"] == saved else {})
        if before:
            for name, size in before.items():
                if sizes.get(name) != size:
                    found = "missing" if name not in sizes else f"{sizes[name]} bytes long"
                    why = f"{name} of the model {tag} in the Bento store is {found}; it had {size} bytes"
                    hint = f"restore it, or delete the model (`bentoml models delete {tag}`) and save it again"
                    raise ValueError(f"{why}: {hint}")
        records.keep(record, {"saved": saved, "sizes": sizes})

    def _import(self, archive: Path) -> str | None:
        """Import a model unless the store has it, whole; return its tag if it was imported.

        Raises: those of _DAMAGED; _AnotherError.
        """
        if (known := self._known(archive)) and self._is_whole(known):
            self.digests[known.tag] = known.digests
            return None
        own = self._home / "bentoship"  # on the same disk as the store
        with file_lock(own / "import.lock"), temporary_folder(own, "import-", wait=True) as folder:
            exported = _extract(archive, folder / "new")
            records.keep(self._record(archive), asdict(exported))
            self.digests[exported.tag] = exported.digests
            place = self._place(exported)
            is_new = not self._is_whole(exported) and not self._is_same(exported, place)
            if is_new:
                _refuse_another(folder / "new", place, exported.tag)
                _put(folder / "new", place, folder / "old")
            self._note_latest(exported)
            records.keep(self._whole(exported), {"digests": dict(exported.digests), "stats": file_stats(place)})
        return exported.tag if is_new else None

    def _record(self, archive: Path) -> Path:
        info = archive.stat()
        key = records.key_of(str(archive), str(info.st_size), str(info.st_mtime_ns))
        return self._kept / f"exported-{key}.json"

    def _known(self, archive: Path) -> Exported | None:
        """Return the model in an archive that was unpacked before."""
        return records.read_as(
            self._record(archive), lambda data: Exported(data["name"], data["version"], {**data["digests"]})
        )

    def _place(self, exported: Exported) -> Path:
        return self._store / exported.name / exported.version

    def _whole(self, exported: Exported) -> Path:
        """Return the file that records how the files of a model were when they were the same as in its archive."""
        return self._kept / f"whole-{records.key_of(str(self._place(exported)))}.json"

    def _is_whole(self, exported: Exported) -> bool:
        """Return whether no file was written since the model was the same as in its archive."""
        known = records.read_as(self._whole(exported), lambda data: (data["digests"], data["stats"]))
        stats = {name: list(values) for name, values in file_stats(self._place(exported)).items()}
        return known == (exported.digests, stats)

    def _is_same(self, exported: Exported, place: Path) -> bool:
        """Return whether the files of a model have the content that they have in its archive."""
        try:
            return all(digest_of(place / name) == digest for name, digest in exported.digests.items())
        except OSError:
            return False

    def _note_latest(self, exported: Exported) -> None:
        """Have NAME:latest be this model unless there is a newer one, as BentoML does when it imports one."""
        latest = self._store / exported.name / "latest"
        try:
            current = self._store / exported.name / latest.read_text("utf-8").strip()
            is_older = _created(current) <= _created(self._place(exported))
        except (OSError, ValueError, TypeError, yaml.YAMLError):  # none, or of a model that is damaged
            is_older = True
        if is_older:
            write_whole(latest, exported.version.encode())


_DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OSError, yaml.YAMLError)
"""What reading an archive may raise that is none, or is damaged."""


_OF_NAMES = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL})
"""The errors of names in an archive that no folder can have, or that are both a file and a folder."""


class _AnotherError(Exception):
    """The store has another model by the same tag."""


def _why(archive: Path, error: Exception) -> str:
    """Return why an archive is no exported model, and what to do."""
    with archive.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            return "it is a pointer of Git LFS): fetch it with `git lfs pull`"
    first = next(iter(reason(error).splitlines()), type(error).__name__).rstrip(":")
    return f"{first}): export it again (`{EXPORT}`), or remove it"


def _extract(archive: Path, folder: Path) -> Exported:
    """Unpack a model, as BentoML does: contents without modes, and what links lead to. Raises those of _DAMAGED."""
    folder.mkdir()
    digests = {}
    with tarfile.open(archive, tarinfo=Member) as opened:
        left = max(_SMALL, _RATIO * archive.stat().st_size)
        for member in opened:
            left -= member.size
            if left < 0:
                raise tarfile.TarError(f"its files have more than {_RATIO} times its size")
            name = str(PurePosixPath(member.name))
            if name.startswith("/") or ".." in name.split("/"):
                raise tarfile.TarError(f"it has a file outside of the model, {name}")
            place = folder / name
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif content := _content(opened, member):
                place.parent.mkdir(parents=True, exist_ok=True)
                with content, place.open("wb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
                digests[name] = digest_of(place)
    if "model.yaml" not in digests:
        raise tarfile.TarError("it has no model.yaml")
    try:
        info = read_yaml(folder / "model.yaml", yaml.SafeLoader)
    except (OSError, ValueError) as error:
        raise tarfile.TarError(f"its model.yaml: {reason(error)}") from error
    name, version = (str(info.get(key)) if isinstance(info, dict) else "" for key in ("name", "version"))
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(version):
        raise tarfile.TarError("its model.yaml names no model")
    return Exported(name, version, digests)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    try:
        return archive.extractfile(member)
    except (KeyError, RecursionError) as error:  # links that lead nowhere, or to each other
        raise tarfile.TarError(f"what {member.name} leads to is not in it") from error


def _refuse_another(new: Path, place: Path, tag: str) -> None:
    """Raise _AnotherError if the store has another model by the same tag, which may exist nowhere else."""
    try:
        is_another = _created(place) != _created(new)
    except (OSError, ValueError, TypeError, yaml.YAMLError):  # there is none, or half of one
        return
    if is_another:
        raise _AnotherError(f"the Bento store has another {tag}, saved at another time; delete one of them")


def _created(model: Path) -> datetime:
    """Return when a model was saved. Raises OSError, YAMLError, or ValueError when its model.yaml does not say so."""
    info: Any = read_yaml(model / "model.yaml", yaml.SafeLoader)
    created = info.get("creation_time") if isinstance(info, dict) else None
    return created if isinstance(created, datetime) else datetime.fromisoformat(str(created))


def _put(new: Path, place: Path, aside: Path) -> None:
    """Move a folder into place, and what is there out of the way."""
    private_folder(place.parent)
    close_to_others(new)
    if os.path.lexists(place):
        place.rename(aside)
    new.rename(place)
