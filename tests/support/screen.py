"""A terminal's screen, as far as words, a block that is drawn again and again, and colours need it."""

from __future__ import annotations

import io
import re

_PART = re.compile(r"\x1b\[(?P<what>[?\d;]*)(?P<how>[A-Za-z])|(?P<letter>[^\x1b])")
_UPWARDS = re.compile(r"(?:\x1b\[1A\x1b\[2K)+")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


class Screen(io.StringIO):
    """Shows what is written to it.

    Args:
        width: in columns.
        height: in lines.
    """

    def __init__(self, width: int = 80, height: int = 24) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.lines = [""]
        self.cursor_is_hidden = False
        self._row = self._column = 0

    def isatty(self) -> bool:
        """Return that this is a terminal."""
        return True

    def write(self, text: str) -> int:
        """Show a text."""
        for part in _PART.finditer(text):
            self._take(part)
        return super().write(text)

    @property
    def is_coloured(self) -> bool:
        """Whether anything had a colour."""
        return bool(_COLOUR.search(self.getvalue()))

    @property
    def text(self) -> str:
        """What is there now."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip()

    @property
    def farthest_up(self) -> int:
        """How many lines up the cursor went at most, to draw a block again from its first line or to take it away."""
        return max(run.group().count("A") for run in _UPWARDS.finditer(self.getvalue()))

    def _take(self, part: re.Match[str]) -> None:
        letter, how, what = part["letter"], part["how"], part["what"]
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._column, self._row = 0, self._row + 1
        elif letter:
            self._put(letter)
        elif how == "A":
            assert self._row >= int(what or 1), "what is above the screen cannot be reached"
            self._row -= int(what or 1)
        elif how == "K":
            self.lines[self._row] = ""
        elif how in "hl" and what == "?25":
            self.cursor_is_hidden = how == "l"
        else:
            assert how == "m", part[0]
        self.lines += [""] * (self._row + 1 - len(self.lines))

    def _put(self, letter: str) -> None:
        if self._column == self.width:
            self._column, self._row = 0, self._row + 1
            self.lines += [""] * (self._row + 1 - len(self.lines))
        line = self.lines[self._row].ljust(self._column)
        self.lines[self._row] = line[: self._column] + letter + line[self._column + 1 :]
        self._column += 1
