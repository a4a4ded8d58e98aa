"""Pushes through a network that spoils requests: reset, refused with a status, answered in vain, cut or stalled."""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bentoship.errors import BentoshipError
from bentoship.image.reference import ImageReference
from bentoship.stores import failures, http
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.stores.transfer import Options, copy
from bentoship.system import retry
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.images import put_image
from tests.support.proxy import Fault, Request

PATIENCE = 180.0
"""Seconds; the default of RETRY_SECONDS."""

TAGS = ("latest", "v1", "commit")

EXAMPLE = (
    *(6_000_000, 5_000_000, 4_000_000, 2_000_000, 1_000_000, 500_000, 250_000),
    *(100_000, 50_000, 20_000, 8_000, 4_000, 1_000),
)
"""The sizes of the example's layers, to about a fifth."""

EQUAL = (5_000_000,) * 8

_CUT = 200
"""Bytes; about the length of a response's head."""


@dataclass
class Outcome:
    """What became of some pushes.

    Args:
        tried, succeeded: how many.
        moved: the bytes of all bodies, in both directions.
        needed: the bytes of as many undisturbed pushes.
        seconds: how long they took.
        failures: the errors of those that failed.
    """

    tried: int
    succeeded: int
    moved: int
    needed: int
    seconds: float
    failures: Sequence[str]

    @property
    def ratio(self) -> float:
        """How many times the needed bytes were moved."""
        return self.moved / self.needed


def spoiling(share: float, seed: int) -> Callable[[Request], Fault | None]:
    """What goes wrong with requests, at random.

    Args:
        share: of requests that something goes wrong with.
        seed: of the chances; threads still make the requests come in another order.
    """
    chances, lock = random.Random(seed), threading.Lock()

    def chance(request: Request) -> Fault | None:
        length = int(request.headers.get("Content-Length") or 0)
        with lock:
            if chances.random() >= share:
                return None
            return chances.choice(
                [
                    Fault(reset=True) if chances.random() < 0.5 else Fault(cut_sent=chances.randint(0, length)),
                    Fault(status=chances.choice([429, 500, 502, 503, 504])),
                    Fault(lost=True),
                    Fault(cut_head=chances.randint(1, _CUT)),
                    Fault(stall=True),
                ]
            )

    return chance


@contextmanager
def time_scaled(factor: float) -> Iterator[float]:
    """Scale all time limits and pauses, so that a stall is over sooner. Yields the scaled patience."""
    names = [
        (failures, "CONNECT_TIMEOUT"),
        (http, "SEND_TIMEOUT"),
        (http, "READ_TIMEOUT"),
        (retry, "FIRST_PAUSE"),
        (retry, "LONGEST_PAUSE"),
    ]
    before = [getattr(module, name) for module, name in names]
    for module, name in names:
        setattr(module, name, getattr(module, name) * factor)
    try:
        yield PATIENCE * factor
    finally:
        for (module, name), seconds in zip(names, before, strict=True):
            setattr(module, name, seconds)


@dataclass(frozen=True)
class Network:
    """A registry, and what is wrong on the way to it.

    Args:
        registry: its host.
        share: of requests that are spoiled.
        seed: of the chances.
        patience: in seconds, of those that push.
    """

    registry: str
    share: float
    seed: int
    patience: float


def pushes(network: Network, folder: Path, *, count: int, sizes: Sequence[int]) -> Outcome:
    """Push an image again and again, each time to another repository.

    Args:
        network: what it goes through.
        folder: an empty one, for the image.
        count: how often.
        sizes: of its layers, in bytes.
    """
    layout = LayoutStore(folder)
    image = put_image(layout, sizes=tuple(sizes), seed=network.seed)
    chance = spoiling(network.share, network.seed)

    def push(number: int, host: str) -> None:
        repository = ImageReference(host, f"chaos/{network.seed}-{number}")
        store = RegistryStore(repository, push=True, session=Session(patience=network.patience))
        store.reach()
        copy(layout, store, image, tags=TAGS, options=Options(whole=True))

    with proxies.before(network.registry) as proxy:
        push(0, proxy.host)
        needed = proxy.moved
    failures: list[str] = []
    moved, began = 0, time.monotonic()
    for number in range(1, count + 1):
        with proxies.before(network.registry) as proxy:
            proxy.chance = chance
            try:
                push(number, proxy.host)
                # Reached directly: every tag has to stand for the image.
                there = ImageReference(network.registry, f"chaos/{network.seed}-{number}")
                store = RegistryStore(there, session=Session(patience=network.patience))
                assert {store.resolve(tag) for tag in TAGS} == {image}
            except (BentoshipError, AssertionError) as error:
                failures.append(str(error))
            moved += proxy.moved
    return Outcome(count, count - len(failures), moved, needed * count, time.monotonic() - began, failures)


def report(options: argparse.Namespace) -> None:
    """Push through bad networks, and print what became of it."""
    print(f"\nnetworks: time limits x {options.scale:g}")
    print(f"{'network':<37} {'pushes':>6} {'succeeded':>9} {'bytes':>6} {'seconds':>7}")
    images = {"the example's 13 layers": EXAMPLE, "8 layers of 5 MB": EQUAL}
    for share, (name, sizes) in itertools.product(options.share or (0.2, 0.3), images.items()):
        with (
            tempfile.TemporaryDirectory(prefix="chaos-") as folder,
            time_scaled(options.scale) as patience,
            registries.running(Path(folder, "registry")) as registry,
        ):
            network = Network(registry.host, share, options.seed, patience)
            outcome = pushes(network, Path(folder, "image"), count=options.pushes, sizes=sizes)
        figures = f"{outcome.tried:>6} {outcome.succeeded:>9} {outcome.ratio:>6.3f} {outcome.seconds:>7.0f}"
        print(f"{f'{share:.0%} spoiled, {name}':<37} {figures}", flush=True)
        for failure in outcome.failures:
            print(f"  {failure}", flush=True)
