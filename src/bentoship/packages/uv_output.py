"""What uv writes, read: how far an installation has come, and why requirements have no solution."""

import os
import re
from pathlib import Path

from bentoship.system.progress import State
from bentoship.system.text import counted

# uv names the wheels of a megabyte or more: "Downloading numpy (16.1MiB)", " Downloaded numpy".
_BEGUN = re.compile(r"^ *Downloading (\S+) \(([\d.]+)(B|KiB|MiB|GiB)\)$", re.MULTILINE)
_ENDED = re.compile(r"^ *Downloaded (\S+)$", re.MULTILINE)
# Of "Because A and B, we can conclude that C. And because D, we can conclude that E. hint: F".
_FACTS = re.compile(r"[Bb]ecause (.+?), we can conclude that ")
_HINTS = re.compile(r"\bhint: (.+?)(?= hint: |$)")
_SCALES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def install_state(written: str, into: Path, number: int) -> State:
    """Return the progress of `uv pip install --target`.

    uv does not report how much of a wheel has arrived, so a wheel counts once it is complete.

    Args:
        written: what uv has written to stderr so far, without progress bars.
        into: the folder that it installs into.
        number: of packages.
    """
    sizes = {name: int(float(figure) * _SCALES[unit]) for name, figure, unit in _BEGUN.findall(written)}
    arrived = set(_ENDED.findall(written))
    if missing := sorted(sizes.keys() - arrived, key=lambda name: -sizes[name]):
        done = sum(size for name, size in sizes.items() if name in arrived)
        return State(f"downloading {', '.join(missing)}", done, sum(sizes.values()))
    if "Resolved " not in written:
        return State(f"looking up {counted(number, 'package')}")
    installed = sum(name.endswith(".dist-info") for name in os.listdir(into))  # noqa: PTH208 - texts will do
    return State(f"installing {counted(number, 'package')}", installed, number, "packages")


def conflict(said: str) -> str:
    """Return why requirements have no solution: the facts in uv's words, without its conclusions, and its hints.

    Args:
        said: what uv said, on one line; anything else is returned as it is.
    """
    facts = list(dict.fromkeys(_FACTS.findall(said)))
    if "No solution found" not in said or not facts:
        return said
    return ". ".join(["; ".join(facts), *(hint.rstrip(".") for hint in _HINTS.findall(said))])
