"""Results in a Markdown file, between two marks."""

from __future__ import annotations

BEGIN, END = "<!-- results: written by --readme -->\n", "<!-- end of results -->\n"


def with_results(text: str, results: str) -> str:
    """A Markdown text with its results renewed. Raises ValueError when it lacks the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for results: {BEGIN.strip()} … {END.strip()}")
    return f"{before}{begin}\n{results}\n{end}{after}"
