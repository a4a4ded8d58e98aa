"""Whole outputs that tests compare with, in files: a test run reads them and never writes one.

Who changes an output on purpose edits its file, by the difference that the failing test shows, and says why in the
commit.
"""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "golden"


def golden(name: str) -> str:
    """Return the output that is expected, such as that of "plan.txt"."""
    return (_FOLDER / name).read_text("utf-8")


def as_document(value: object) -> str:
    """Return a value as the tasks print a document."""
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n"
