"""The output of BentoML and Docker's builders during a build, and why a build failed according to it."""

import re
from collections.abc import Callable
from itertools import takewhile
from typing import IO

from bentoship.errors import EngineError

_LOST = re.compile(r"error during connect|cannot connect to the docker daemon|unexpected EOF|connection reset", re.I)
# The step that looks up the base image, as BuildKit and the classic builder name it.
_BASE = re.compile(r"^(?:#(\d+) \[internal\] load metadata for|Step \d+/\d+ : FROM) (\S+)")
_STEP = re.compile(r"^Step \d+/\d+ : ")
_TRACEBACK = "Traceback (most recent call last)"
# Where the builder's output ends and BentoML's own report begins.
_AFTERWARDS = re.compile(rf"Encountered exception while trying to build|^{re.escape(_TRACEBACK)}")
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(: |$)")
# BuildKit's lines about a step: its output, with the seconds since its start, and its error.
_OUTPUT = re.compile(r"^#(\d+) \d+\.\d+ (.+)")
_FAILED = re.compile(r"^#(\d+) ERROR: (.+)")
# Colours, and the level that BentoML's log puts before the classic builder's lines.
_ORNAMENT = re.compile(r"\x1b\[[0-9;]*m|^(INFO|ERROR):$|^INFO: ")
_NOTHING = re.compile(r"Removing intermediate container ")
_FULL = re.compile("no space left", re.IGNORECASE)
_INTERMEDIATE = re.compile(r"^ ---> ([0-9a-f]{12})$")


class BuildOutput:
    """The output of one build, line by line.

    Args:
        file: the log file for all of it.
        tell: called with each line of the builder.
    """

    def __init__(self, file: IO[str], tell: Callable[[str], None]) -> None:
        self._file = file
        self._tell = tell
        self._builder: list[str] = []
        self._bentoml: list[str] = []
        """BentoML's lines after the end of the builder's."""

    def add(self, line: str) -> None:
        """Add a line."""
        line = _ORNAMENT.sub("", line)
        if not line.strip():
            return
        print(line, file=self._file, flush=True)
        if self._bentoml or _AFTERWARDS.search(line):
            self._bentoml.append(line)
        else:
            self._builder.append(line)
            self._tell(line)

    @property
    def intermediate_images(self) -> list[str]:
        """Return the intermediate images of the classic builder, by the first 12 hex digits of their ids."""
        # The first one is the base, which other builds may use, too.
        return [match[1] for line in self._builder if (match := _INTERMEDIATE.match(line))][1:]

    def error(self, tag: str, host: str) -> EngineError:
        """Return the error for a failed build.

        Args:
            tag: the Bento's tag.
            host: the engine's address.
        """
        exception = self._exception()
        step, lines = ("", exception) if exception else self._last_words()
        words = "\n".join(lines).lower()
        doing = f"Build {tag} with BentoML and Docker"
        hint = f"See its output: {self._file.name}"
        if base := self._missing_base(step):
            doing = f"{doing} on {base}"
            hint = f"Set the Bento's base image (docker.base_image, or that of its Image) to one that exists. {hint}"
        elif _LOST.search(words):
            hint = f"The engine at {host} has stopped; see its log, and start it again. {hint}"
        elif _FULL.search(words):
            hint = f"Free up the engine's disk: `docker system prune`. {hint}"
        return EngineError(doing, " / ".join(lines) or "there was no output", hint)

    def _exception(self) -> list[str]:
        """Return the exception with which BentoML ended before the builder started; empty when the builder failed."""
        if not self._bentoml or not self._bentoml[0].startswith(_TRACEBACK):
            return []
        begin = max((number for number, line in enumerate(self._bentoml) if _EXCEPTION.match(line)), default=-1)
        return self._bentoml[begin:]

    def _last_words(self) -> tuple[str, list[str]]:
        """Return the failed step's number (BuildKit's; empty for the classic builder) and the end of its output."""
        for line in reversed(self._builder):
            if failed := _FAILED.match(line):
                outputs = (match for output in self._builder if (match := _OUTPUT.match(output)))
                return failed[1], [*_end([match[2] for match in outputs if match[1] == failed[1]], 3), failed[2]]
        # The output of earlier steps is irrelevant.
        last = list(takewhile(lambda line: not _STEP.match(line), reversed(self._builder)))[::-1]
        return "", _end([line.strip() for line in last if line.strip(" -") and not _NOTHING.match(line)], 4)

    def _missing_base(self, step: str) -> str:
        """Return the base image that is unavailable; empty when another step failed."""
        if step:
            bases = (match for line in self._builder if (match := _BASE.match(line)))
            return next((match[2] for match in bases if match[1] == step), "")
        last = next((line for line in reversed(self._builder) if _STEP.match(line)), "")
        base = _BASE.match(last)
        return base[2] if base else ""


def _end(lines: list[str], number: int) -> list[str]:
    """Return the last lines of a step, after an earlier one on a full disk, from which they may follow.

    For apt, a list that it could not write has an invalid signature.
    """
    last = lines[-number:]
    full = [line.strip() for line in lines if _FULL.search(line)]
    return [full[-1], *last] if full and not any(map(_FULL.search, last)) else last
