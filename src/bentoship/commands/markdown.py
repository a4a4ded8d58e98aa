"""Markdown as GitHub reads it, of texts that may be a stranger's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bentoship.system.text import on_one_line

_MOST_TEXT, _MOST_LINE = 300, 3000
"""Characters."""


def code(text: str) -> str:
    """Return a text as code within a line, in which no mark-up, mention or link counts (GFM spec, "Code spans")."""
    shown = _shown(text, _MOST_TEXT)
    fence = "`" * (_longest_fence(shown) + 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown or ' '}{fence}"


def block(text: str, language: str) -> str:
    """Return a line as a block of code."""
    shown = _shown(text, _MOST_LINE)
    fence = "`" * max(3, _longest_fence(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table. Args: head: the titles, each with a colon at its end when its column is one of numbers.

    The cells are Markdown on one line; a bar in them does not end them.
    """
    titles = [title.removesuffix(":") for title in head]
    rule = ["--:" if title.endswith(":") else "---" for title in head]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (titles, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(text: str, most: int) -> str:
    return on_one_line(text[:most]) + ("…" if len(text) > most else "")


def _longest_fence(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
