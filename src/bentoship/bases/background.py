"""Debian's base, made in a process of its own meanwhile: it takes half of the time of a first publish, and depends on
little of the rest."""

import gc
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn, Unpack

from bentoship.bases.debian import DebianSource
from bentoship.errors import BaseImageError, BentoshipError
from bentoship.layers.cache import LayerCache
from bentoship.system.parallel import repeating
from bentoship.system.process import OWN_PATIENCE, Completed, background, environment
from bentoship.system.progress import SILENT, Counter, Details, State, StepReporter, counter_of

_PAUSE = 0.2
"""Seconds between two lines on its progress; they cost next to nothing."""

_CHILD = """\
import sys
sys.path.append(sys.argv[1])
from bentoship.bases.background import main
main()
"""


@contextmanager
def debian_in_background(
    cache: Path, *, python: str, platform: str, layers: LayerCache, reporter: StepReporter = SILENT
) -> Iterator[Callable[[], None]]:
    """Begin to make a base. If it is unfinished when the block ends, it is dropped and starts over the next time.

    Args: as of `DebianSource`, which finds the base once it is made.

    Yields: a function that waits for the base, and raises what `DebianSource.make` does.
    """
    order = {"cache": str(cache), "python": python, "platform": platform, "layers": str(layers.folder)}
    command = [sys.executable, "-P", "-c", _CHILD, str(Path(__file__).parents[2])]
    env = environment(prefixes=("UV_PYTHON",), extra={"PYTHONDONTWRITEBYTECODE": "1"})
    title = f"assembling a base from Debian's packages for {platform}"
    with background(command, env=env, input=json.dumps(order), patience=OWN_PATIENCE) as child:

        def finish() -> None:
            done = child.wait()
            if done.code:
                raise _failure(done, platform)

        def state() -> State:
            *_, last, _ = ["", *child.output.split("\n")]  # after the last line end there may be a part of a line
            return State(**json.loads(last)) if last else State(title)

        with reporter.task(title, measure=state, ended=lambda: child.has_succeeded):
            yield finish


def _failure(done: Completed, platform: str) -> Exception:
    """Return what went wrong in the process, as it would have been raised in this one."""
    try:
        failure = json.loads(done.stdout.rpartition("\n")[2])
    except ValueError:
        return BaseImageError(f"Assemble a base from Debian's packages for {platform}", done.last_lines)
    return OSError(*failure["system"]) if "system" in failure else BaseImageError(*failure["base"])


class _Writer:
    """A reporter that writes the progress of the current task to stdout every now and then, a line each time."""

    def say(self, text: str) -> None: ...

    @contextmanager
    def task(self, title: str, **details: Unpack[Details]) -> Iterator[Counter]:
        """Write the progress of a task as long as the block lasts."""
        counter, measure = counter_of(title, details), details.get("measure")

        def write() -> None:
            line = json.dumps(asdict(measure() if measure else counter.state))
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

        write()
        with repeating(write, _PAUSE):
            yield counter


def _stop(number: int, _: FrameType | None) -> NoReturn:
    # What this process has started, such as apt, is in process groups of its own: only unwinding the stack ends it.
    sys.exit(128 + number)


def main() -> None:
    """Make the base that stdin describes in JSON; write the progress to stdout, and an error as the last line."""
    signal.signal(signal.SIGTERM, _stop)
    gc.disable()  # as in the parent process
    order = json.load(sys.stdin)
    try:
        layers = LayerCache(Path(order["layers"]))
        source = DebianSource(Path(order["cache"]), order["python"], layers, reporter=_Writer())
        source.make(order["platform"])
    except BentoshipError as error:
        json.dump({"base": [error.doing, error.why, error.hint]}, sys.stdout)
        sys.exit(1)
    except OSError as error:
        json.dump({"system": [error.errno, error.strerror, error.filename]}, sys.stdout)
        sys.exit(1)
