"""Reading documents that anyone may have written: whole, but only up to a size, and YAML without its bombs."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bentoship.system.text import size

DOCUMENT = 1 << 20
"""The bytes that a document of settings may have, as people and their tools write them."""

LIST = 32 << 20
"""The bytes that a list may have: requirements with their hashes, or the files of a package."""

DEPTH = 100
"""How deep the values of a YAML document may be nested; the parser in C would otherwise end the process."""

_VALUES = 100_000
"""The values that a YAML document may have, with those that its aliases repeat."""


class Loader(Protocol):
    """PyYAML's loader of one document."""

    def check_event(self, *kinds: Any) -> bool: ...
    def get_event(self) -> Any: ...
    def get_single_data(self) -> Any: ...
    def dispose(self) -> None: ...


def read_bytes(file: Path, most: int = DOCUMENT) -> bytes:
    """Return the content of a file. Raises OSError, also when it is larger than `most` bytes, which stay unread."""
    with file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {size(most)}", str(file))
    return content


def read_text(file: Path, most: int = DOCUMENT, *, encoding: str = "utf-8") -> str:
    """Return the text of a file, with "\\n" for each line end, as Path.read_text does.

    Args:
        file: the file.
        most: the bytes that it may have.
        encoding: "utf-8-sig" to leave out a mark at its beginning.

    Raises: UnicodeDecodeError, or OSError as `read_bytes` does.
    """
    return read_bytes(file, most).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_yaml(file: Path, loader: Callable[[str], Loader], most: int = DOCUMENT) -> Any:
    """Return the value of a YAML document.

    Args:
        file: the document.
        loader: PyYAML's SafeLoader, which this folder does not import.
        most: how many bytes it may have.

    Raises:
        OSError: it cannot be read, or is too large.
        ValueError: it is not UTF-8, is nested too deeply, or repeats itself too often by aliases.
        yaml.YAMLError: it is not YAML.
    """
    return parse_yaml(read_text(file, most), loader)


def parse_yaml(text: str, loader: Callable[[str], Loader]) -> Any:
    """Return the value of a YAML document. Args: text: its text; loader: as of `read_yaml`. Raises as it does."""
    scanned = loader(text)
    try:
        _refuse_bomb(scanned)
    finally:
        scanned.dispose()
    parsed = loader(text)
    try:
        return parsed.get_single_data()
    except (LookupError, AttributeError, TypeError, OverflowError) as error:
        # PyYAML's constructors raise these for `!!bool x` and the like.
        raise ValueError(f"it has a value that is not of its type ({error})") from error
    finally:
        parsed.dispose()


def _refuse_bomb(events: Loader) -> None:
    """Raise ValueError for a document that is nested too deeply, or far larger than its text.

    An alias costs nothing until what it stands for is walked through, printed or merged: so what it repeats counts.
    """
    open_values: list[tuple[str | None, int]] = []
    known: dict[str | None, int] = {}
    total = 0
    while events.check_event():
        event = events.get_event()
        kind = type(event).__name__
        if kind == "AliasEvent":
            if event.anchor in {anchor for anchor, _ in open_values}:
                raise ValueError(f"it repeats itself without an end (*{event.anchor})")
            total += known.get(event.anchor, 1)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            open_values.append((event.anchor, total))
            total += 1
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            anchor, before = open_values.pop()
            known[anchor] = total - before
        elif kind == "ScalarEvent":
            known[event.anchor] = 1
            total += 1
        if len(open_values) > DEPTH:
            raise ValueError(f"it is nested more than {DEPTH} deep")
        if total > _VALUES:
            raise ValueError(f"it has more than {_VALUES:,} values, those that it repeats by aliases included")
