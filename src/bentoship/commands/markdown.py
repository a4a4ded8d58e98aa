"""Markdown as GitHub reads it, from texts that anyone may have written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bentoship.system.text import on_one_line

_MOST_TEXT, _MOST_LINE = 300, 3000
"""Characters."""


def code(text: str) -> str:
    """Return a text as a code span, in which no markup, mention or link counts (GFM spec, "Code spans")."""
    shown = _shown(text, _MOST_TEXT)
    fence = "`" * (_longest_fence(shown) + 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown or ' '}{fence}"


def block(text: str, language: str) -> str:
    """Return a line as a block of code."""
    shown = _shown(text, _MOST_LINE)
    fence = "`" * max(3, _longest_fence(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table.

    Args:
        head: the titles; a colon at the end aligns the column to the right, as numbers are.
        rows: cells of Markdown on one line, in which a bar is escaped here.
    """
    titles = [title.removesuffix(":") for title in head]
    rule = ["--:" if title.endswith(":") else "---" for title in head]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (titles, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(text: str, most: int) -> str:
    return on_one_line(text[:most]) + ("…" if len(text) > most else "")


def _longest_fence(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
