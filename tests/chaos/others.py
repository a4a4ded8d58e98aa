"""Pushes of other programs through the same bad networks as ours: skopeo, crane and Docker's engine."""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from tests.chaos.networks import EQUAL, EXAMPLE, Outcome, spoiling
from tests.support import dockerd
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.images import put_image

PATIENCE = 60.0
"""Seconds for a push; the programs have time limits of their own, or none."""

PROGRAMS = ("skopeo", "crane", "docker")


@contextmanager
def pushing(program: str, layout: LayoutStore) -> Iterator[list[str]]:
    """The command of a program that pushes the image in a layout; the reference follows.

    Args:
        program: one of PROGRAMS.
        layout: the image is its tag `latest`.

    Raises: pytest's Skipped or Failed with the reason where the program cannot be used.
    """
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    if program == "skopeo":
        source = f"oci:{layout.folder}:latest"
        yield [
            "skopeo",
            "copy",
            "--quiet",
            "--preserve-digests",
            "--retry-times",
            "3",
            "--dest-tls-verify=false",
            source,
        ]
    elif program == "crane":
        yield ["crane", "push", "--insecure", str(layout.folder)]
    else:
        with dockerd.running() as daemon:
            load = ["skopeo", "copy", "--quiet", "--dest-daemon-host", daemon.host, f"oci:{layout.folder}:latest"]
            subprocess.run([*load, "docker-daemon:chaos:latest"], check=True, capture_output=True)
            script = 'docker tag chaos:latest "$0" && docker push --quiet "$0"'
            yield ["env", f"DOCKER_HOST={daemon.host}", "sh", "-c", script]


def pushes(
    command: Sequence[str], registry: str, image: Descriptor, *, share: float, seed: int, count: int, of: str
) -> Outcome:
    """Push an image again and again, each time to another repository, and count what arrives.

    Args:
        command: of `pushing`.
        registry: its host.
        image: what has to arrive; Docker makes a manifest of its own.
        share: of requests that are spoiled.
        seed: of the chances.
        count: how often.
        of: the program.
    """
    moved, failures, needed, began = 0, [], 0, time.monotonic()
    chance = spoiling(share, seed)
    for number in range(count + 1):  # the first is undisturbed, and says how many bytes are needed
        path = f"others/{of}-{seed}-{round(share * 100)}-{number}"
        with proxies.before(registry) as proxy:
            proxy.chance = chance if number else (lambda _: None)
            if number == 1:
                began = time.monotonic()
            try:
                name = f"{'docker://' if of == 'skopeo' else ''}{proxy.host}/{path}:latest"
                done = subprocess.run([*command, name], capture_output=True, text=True, timeout=PATIENCE, check=False)
                why = (done.stderr.strip().splitlines() or [""])[-1] if done.returncode else ""
            except subprocess.TimeoutExpired:
                why = f"did not end within {PATIENCE:.0f} s"
            found = None if why else RegistryStore(ImageReference(registry, path)).resolve("latest")
            if not number:
                assert not why, why
                needed = proxy.moved
            elif why or (of != "docker" and found != image):
                failures.append(why or f"{found} arrived")
            moved += proxy.moved if number else 0
    return Outcome(count, count - len(failures), moved, needed * count, time.monotonic() - began, failures)


def report(options: argparse.Namespace) -> None:
    """Push by other programs through bad networks, and print what became of it."""
    print(f"\nothers: real time limits, at most {PATIENCE:.0f} s for a push")
    print(f"{'program':<45} {'pushes':>6} {'succeeded':>9} {'bytes':>6} {'seconds':>7}")
    images = {"the example's 13 layers": EXAMPLE, "8 layers of 5 MB": EQUAL}
    count = max(1, options.pushes // 10)
    for program, (name, sizes) in itertools.product(PROGRAMS, images.items()):
        with (
            tempfile.TemporaryDirectory(prefix="chaos-") as folder,
            registries.running(Path(folder, "own")) as registry,
        ):
            layout = LayoutStore(Path(folder, "image"))
            image = put_image(layout, sizes=tuple(sizes), seed=options.seed)
            layout.tag(image, "latest")
            try:
                with pushing(program, layout) as command:
                    for share in options.share or (0.2, 0.3):
                        outcome = pushes(
                            command, registry.host, image, share=share, seed=options.seed, count=count, of=program
                        )
                        _print(f"{program}, {share:.0%} spoiled, {name}", outcome)
            except (pytest.skip.Exception, pytest.fail.Exception) as why:
                print(f"{program}: {why}", flush=True)


def _print(title: str, outcome: Outcome) -> None:
    figures = f"{outcome.tried:>6} {outcome.succeeded:>9} {outcome.ratio:>6.3f} {outcome.seconds:>7.0f}"
    print(f"{title:<45} {figures}", flush=True)
    for failure in dict.fromkeys(outcome.failures):
        print(f"  {outcome.failures.count(failure)} x {failure}"[:300], flush=True)
