"""Debian's base made by a process beside this one: it needs half of the time that a first publish takes, and little
of what the rest of it makes."""

import gc
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bentoship.bases.debian import DebianSource
from bentoship.errors import BaseImageError, BentoshipError
from bentoship.layers.cache import LayerCache
from bentoship.system.process import Completed, background, environment

_CHILD = """\
import sys
sys.path.append(sys.argv[1])
from bentoship.bases.background import main
main()
"""


@contextmanager
def debian_in_background(
    cache: Path, *, python: str, platform: str, layers: LayerCache
) -> Iterator[Callable[[], None]]:
    """Begin to make a base; what is unfinished when the block ends is dropped, and starts over the next time.

    Args: as of `DebianSource`, which finds the base when it is there.

    Yields: what waits until it is there, and raises what `DebianSource.make` does.
    """
    order = {"cache": str(cache), "python": python, "platform": platform, "layers": str(layers.folder)}
    command = [sys.executable, "-P", "-c", _CHILD, str(Path(__file__).parents[2])]
    env = environment(prefixes=("UV_",), extra={"PYTHONDONTWRITEBYTECODE": "1"})
    with background(command, env=env, input=json.dumps(order)) as finish:

        def finished() -> None:
            done = finish()
            if done.code:
                raise _failure(done, platform)

        yield finished


def _failure(done: Completed, platform: str) -> Exception:
    """What went wrong in the process, as it would have been raised in this one."""
    if not done.stdout:
        return BaseImageError(f"Assemble a base from Debian's packages for {platform}", done.last_lines)
    told = json.loads(done.stdout)
    return OSError(*told["system"]) if "system" in told else BaseImageError(*told["base"])


def _stop(number: int, _: FrameType | None) -> NoReturn:
    # What this process has started, such as apt, is in groups of its own, and ends only when the stack is unwound.
    sys.exit(128 + number)


def main() -> None:
    """What the process does: an order in JSON comes in; an error goes out."""
    signal.signal(signal.SIGTERM, _stop)
    gc.disable()  # as in the process that it works for
    order = json.load(sys.stdin)
    try:
        layers = LayerCache(Path(order["layers"]))
        DebianSource(Path(order["cache"]), order["python"], layers).make(order["platform"])
    except BentoshipError as error:
        json.dump({"base": [error.doing, error.why, error.hint]}, sys.stdout)
        sys.exit(1)
    except OSError as error:
        json.dump({"system": [error.errno, error.strerror, error.filename]}, sys.stdout)
        sys.exit(1)
