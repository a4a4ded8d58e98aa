"""Try what bentoship promises when things fail around it, and print figures: `python -m tests.chaos`."""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import networks
from tests.support import registry as registries


def main() -> None:
    """Push through bad networks, and print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--pushes", type=int, default=100, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20), help="of the chances")
    parser.add_argument("--scale", type=float, default=0.1, help="of all time limits, pauses and patience")
    parser.add_argument("--share", type=float, action="append", help="of requests that are spoiled; 0.2 and 0.3")
    options = parser.parse_args()
    print(f"seed {options.seed}, time limits x {options.scale:g}")
    print(f"{'network':<37} {'pushes':>6} {'succeeded':>9} {'bytes':>6} {'seconds':>7}")
    images = {"the example's 13 layers": networks.EXAMPLE, "8 layers of 5 MB": networks.EQUAL}
    for share, (name, sizes) in itertools.product(options.share or (0.2, 0.3), images.items()):
        outcome = _pushes(options.pushes, share, options.seed, sizes, options.scale)
        figures = f"{outcome.tried:>6} {outcome.succeeded:>9} {outcome.ratio:>6.3f} {outcome.seconds:>7.0f}"
        print(f"{f'{share:.0%} spoiled, {name}':<37} {figures}", flush=True)
        for failure in outcome.failures:
            print(f"  {failure}", flush=True)


def _pushes(count: int, share: float, seed: int, sizes: Sequence[int], scale: float) -> networks.Outcome:
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        networks.time_scaled(scale) as patience,
        registries.running(Path(folder, "registry")) as registry,
    ):
        network = networks.Network(registry.host, share, seed, patience)
        return networks.pushes(network, Path(folder, "image"), count=count, sizes=sizes)


if __name__ == "__main__":
    main()
