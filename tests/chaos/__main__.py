"""Try what bentoship promises when things fail around it, and print figures: `python -m tests.chaos`."""

from __future__ import annotations

import argparse
import random

from tests.chaos import hostile, kills, networks, others, secrets

SECTIONS = {
    "networks": networks.report,
    "others": others.report,
    "kills": kills.report,
    "secrets": secrets.report,
    "hostile": hostile.report,
}
"""What can be tried, by name: functions that take the options and print their part."""


def main() -> None:
    """Try each part, or those that are named, and print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("section", nargs="*", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20), help="of all chances")
    parser.add_argument("--pushes", type=int, default=100, help="how many of each kind")
    parser.add_argument("--kills", type=int, default=200, help="how many publishes are killed")
    parser.add_argument("--scale", type=float, default=0.1, help="of all time limits, pauses and patience")
    parser.add_argument("--share", type=float, action="append", help="of requests that are spoiled; 0.2 and 0.3")
    options = parser.parse_args()
    if unknown := set(options.section) - SECTIONS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: no such section; there are {', '.join(SECTIONS)}")
    print(f"seed {options.seed}")
    for name in options.section or SECTIONS:
        SECTIONS[name](options)


if __name__ == "__main__":
    main()
