"""Texts for people: numbers in a readable form, and what may be printed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bentoship.system.urls import without_secrets


def size(count: float, *, exact: bool = True) -> str:
    """Return a number of bytes in a readable form: 532 B, 41.2 kB, or ~98.4 MB for an estimate."""
    if not exact:
        return f"~{size(count)}"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def duration(seconds: float) -> str:
    """Return an estimated number of seconds in a readable form: 4 s, 12 min, 2.5 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def printable(text: str) -> str:
    """Return a text as it may be printed: without passwords in URLs, and with control characters shown as escapes.

    A registry's message or a file's name could otherwise move the cursor of a terminal, or change its title. Line ends
    and tabs stay. Bytes of a name that are not UTF-8 (os.fsdecode), which no stream takes, are shown as escapes, too.
    """
    plain = without_secrets(text)
    if plain.isprintable():  # as most are; it takes a tenth of the search
        return plain
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), plain)


def on_one_line(text: str) -> str:
    """Return a text as it may be printed in a cell of a table, with its line ends and tabs as escapes, too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def cut(text: str, most: int) -> str:
    """Return a text of at most some characters; a longer one ends with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def flaw(error: Exception) -> str:
    """Return what is wrong with a document, in words. Args: error: the exception that reading it has raised."""
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    if isinstance(error, IndexError):
        return "a list is too short"
    if isinstance(error, (TypeError, AttributeError)):
        return "a value has a wrong type"
    return str(error) or type(error).__name__


def counted(number: int, noun: str) -> str:
    """Return a number of things, with their noun in the plural unless there is one: 1 package, 72 packages."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def enumerated(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: a, a and b, a, b and c."""
    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])


def amount(done: int, total: int | None, unit: str) -> str:
    """Return how much of something is done: 12.3 of 25.3 MB, 31 of 72 packages; what is done alone without a total.

    Args:
        done: in the unit.
        total: in the unit; None where it is not known.
        unit: "bytes", or what is counted, in the plural.
    """
    done = done if total is None else min(done, total)  # what is compressed has headers, too, which totals leave out
    if unit != "bytes":
        return f"{done} {unit}" if total is None else f"{done} of {total} {unit}"
    if total is None:
        return size(done)
    whole = size(total)
    name = whole.partition(" ")[2]
    return f"{done} of {whole}" if name == "B" else f"{done / _SCALES[name]:.1f} of {whole}"


_SCALES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
