"""JSON documents: those that a registry sends, which may be anything, and ours, the same bytes each time."""

from __future__ import annotations

import json
import re
from typing import Any


def parse_json(content: str | bytes) -> Any:
    """Return the value of a JSON document. Raises ValueError when it is not JSON, or is nested too deeply to read."""
    try:
        # As json.loads does, which would make a decoder each time.
        text = content if isinstance(content, str) else content.decode(json.detect_encoding(content), "surrogatepass")
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def to_json(document: Any) -> bytes:
    """Return the JSON of a value, without spaces, in the order of its keys; always in UTF-8.

    Words of a command line, file names and what Git says may have bytes that are none (os.fsdecode).
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        bytes_alone = _HALVES.sub("\ufffd", text)
        return bytes_alone.encode(errors="surrogateescape").decode(errors="replace").encode()


_HALVES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that stand for no byte."""


def _refuse(constant: str) -> None:
    # Python reads NaN and Infinity, which JSON does not have and no number of ours may be.
    raise ValueError(f"it has {constant} in place of a number")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
