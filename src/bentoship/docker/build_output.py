"""What BentoML and Docker's builders write during a build, and what of it says why a build failed."""

import re
from collections.abc import Callable
from itertools import takewhile
from typing import TextIO

from bentoship.errors import EngineError

_LOST = re.compile(r"error during connect|cannot connect to the docker daemon|unexpected EOF|connection reset", re.I)
# The step that looks for the base, as BuildKit and the classic builder call it.
_BASE = re.compile(r"^(?:#(\d+) \[internal\] load metadata for|Step \d+/\d+ : FROM) (\S+)")
_STEP = re.compile(r"^Step \d+/\d+ : ")
_TRACEBACK = "Traceback (most recent call last)"
# Where the builder's words end and BentoML's own account of them begins.
_AFTERWARDS = re.compile(rf"Encountered exception while trying to build|^{re.escape(_TRACEBACK)}")
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(: |$)")
# What BuildKit says of a step: its output, with the seconds since it began, and its end.
_OUTPUT = re.compile(r"^#(\d+) \d+\.\d+ (.+)")
_FAILED = re.compile(r"^#(\d+) ERROR: (.+)")
# Colours, and the level that BentoML's log puts before what the classic builder says, or before nothing.
_ORNAMENT = re.compile(r"\x1b\[[0-9;]*m|^(INFO|ERROR):$|^INFO: ")
_NOTHING = re.compile(r"Removing intermediate container ")
_INTERMEDIATE = re.compile(r"^ ---> ([0-9a-f]{12})$")


class BuildOutput:
    """The output of one build, line by line.

    Args:
        file: takes all of it.
        tell: told each line of the builder's.
    """

    def __init__(self, file: TextIO, tell: Callable[[str], None]) -> None:
        self._file = file
        self._tell = tell
        self._builder: list[str] = []
        self._bentoml: list[str] = []
        """What BentoML says once the builder has ended."""

    def add(self, line: str) -> None:
        """Take a line in."""
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
        """Return the images that the classic builder made on the way, by the first 12 hex digits of their ids."""
        # The first one is the base, on which others may be building, too.
        return [match[1] for line in self._builder if (match := _INTERMEDIATE.match(line))][1:]

    def error(self, tag: str, host: str) -> EngineError:
        """Return the error for a build that failed.

        Args:
            tag: the Bento's.
            host: where the engine is.
        """
        exception = self._exception()
        step, lines = ("", exception) if exception else self._last_words()
        words = "\n".join(lines).lower()
        doing = f"Build {tag} with BentoML and Docker"
        hint = f"All of its output: {self._file.name}"
        if base := self._missing_base(step):
            doing = f"{doing} on {base}"
            hint = f"Name a base that can be had: docker.base_image in bentofile.yaml. {hint}"
        elif _LOST.search(words):
            hint = f"The engine at {host} is gone; see its log, and start it again. {hint}"
        elif "no space left" in words:
            hint = f"Make room where the engine keeps its images: `docker system prune`. {hint}"
        return EngineError(doing, " / ".join(lines) or "it said nothing", hint)

    def _exception(self) -> list[str]:
        """Return the exception by which BentoML ended before there was anything to build; empty for a builder's end."""
        if not self._bentoml or not self._bentoml[0].startswith(_TRACEBACK):
            return []
        begin = max((number for number, line in enumerate(self._bentoml) if _EXCEPTION.match(line)), default=-1)
        return self._bentoml[begin:]

    def _last_words(self) -> tuple[str, list[str]]:
        """Return which step failed, by BuildKit's number (empty for the classic builder), and the end of its output."""
        for line in reversed(self._builder):
            if failed := _FAILED.match(line):
                outputs = (match for output in self._builder if (match := _OUTPUT.match(output)))
                return failed[1], [*[match[2] for match in outputs if match[1] == failed[1]][-3:], failed[2]]
        # What went before the step that failed has nothing to do with it.
        last = list(takewhile(lambda line: not _STEP.match(line), reversed(self._builder)))[::-1]
        return "", [line.strip() for line in last if line.strip(" -") and not _NOTHING.match(line)][-4:]

    def _missing_base(self, step: str) -> str:
        """Return the base that could not be had; empty when it was another step that failed."""
        if step:
            bases = (match for line in self._builder if (match := _BASE.match(line)))
            return next((match[2] for match in bases if match[1] == step), "")
        last = next((line for line in reversed(self._builder) if _STEP.match(line)), "")
        base = _BASE.match(last)
        return base[2] if base else ""
