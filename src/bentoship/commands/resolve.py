"""Printing YAML files with the digests of the images that they name as bentoship://NAME[:TAG]."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bentoship.commands.terminal import Terminal, result_as_it_is
from bentoship.errors import BentoshipError, StoreError
from bentoship.image.reference import ImageReference
from bentoship.project import Run, begin
from bentoship.system.parallel import map_in_order
from bentoship.system.values import dataclass
from bentoship.versions.addresses import SCHEME, Address, find, joined, replaced
from bentoship.versions.reading import image_of

_STDIN = "-"


@dataclass(frozen=True)
class _File:
    """A file that was read.

    Args:
        name: its name, for errors.
        text: its content.
        found: the addresses in it.
    """

    name: str
    text: str
    found: Sequence[Address]


def show(folder: Path, names: Sequence[str]) -> None:
    """Print files, as one stream of YAML, with the digests of the images that they name as bentoship://NAME[:TAG].

    Args:
        folder: the project's, in whose repository the images are.
        names: paths of files; "-" for stdin.

    Raises: BentoshipError, before anything is printed.
    """
    if not names or "" in names:
        raise BentoshipError(
            "Resolve images", "no file is named", "Name it, as in `invoke resolve -f deployment.yaml`."
        )
    files = [_read(name) for name in names]
    named = {one.value: (file.name, one) for file in reversed(files) for one in reversed(file.found)}
    digests: dict[str, str] = {}
    if named:
        with closing(begin(folder, Terminal())) as run:
            run.login()
            found = map_in_order(lambda each: _resolved(run, *each), named.values(), jobs=4)
            digests = dict(zip(named, map(str, found), strict=True))
            for address, reference in digests.items():
                run.reporter.say("resolve", f"{address} is {reference}")
    result_as_it_is(joined([replaced(file.text, file.found, digests) for file in files]).encode())


def _read(name: str) -> _File:
    """Return a file. Raises BentoshipError when it cannot be read, or is not YAML."""
    known = "stdin" if name == _STDIN else name
    try:
        content = sys.stdin.buffer.read() if name == _STDIN else Path(name).read_bytes()
        text = _text(content)
    except OSError as error:
        raise BentoshipError(f"Read {known}", error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise BentoshipError(f"Read {known}", f"it is not {error.encoding.upper()} at byte {error.start}") from error
    return _File(known, text, find(text, known))


def _text(content: bytes) -> str:
    """Return the text of a file, with any byte order mark of UTF-8 (YAML 1.2, "Character Encodings")."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16") if wide else content.decode()


def _resolved(run: Run, file: str, address: Address) -> ImageReference:
    """Return the image of an address by digest. Raises BentoshipError, which names the file and line."""
    doing = f"Resolve {address.value} in {file}, line {address.line}"
    name, at, digest = address.image.partition("@")
    name, colon, tag = name.partition(":")
    hint = f"An address is {SCHEME}NAME or {SCHEME}NAME:TAG, such as {SCHEME}classifier:production."
    try:
        repository = run.provider.repository(name)
        wanted = ImageReference(repository.host, repository.path, tag if colon else None, digest if at else None)
    except BentoshipError as error:
        raise BentoshipError(doing, error.why, hint) from error
    version = wanted.digest or wanted.tag or next(iter(run.project.moving_tags), "latest")
    try:
        return wanted.with_digest(image_of(run.registry(wanted, push=False), version).digest)
    except StoreError as error:
        raise BentoshipError(
            doing, f"{wanted.with_tag(version) if not at else wanted}: {error.why}", error.hint
        ) from error
