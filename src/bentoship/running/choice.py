"""Which way to start an image: an engine where there is one, else without."""

from __future__ import annotations

from collections.abc import Sequence

from bentoship.errors import NotVerifiedError
from bentoship.running import Runner
from bentoship.running.chroot import ChrootRunner
from bentoship.running.docker import DockerRunner
from bentoship.running.namespace import NamespaceRunner
from bentoship.running.podman import PodmanRunner

RUNNERS: tuple[Runner, ...] = (DockerRunner(), PodmanRunner(), NamespaceRunner(), ChrootRunner())
"""All ways, the best first."""


def choose(runners: Sequence[Runner] = RUNNERS) -> Runner:
    """The first way that can be gone on this machine. Raises NotVerifiedError with all reasons when none can."""
    obstacles = []
    for runner in runners:
        obstacle = runner.obstacle()
        if not obstacle:
            return runner
        obstacles.append(obstacle)
    hint = "This says nothing about the image. With Docker or podman it can be tried here."
    raise NotVerifiedError("Not verified", "; ".join(obstacles), hint)
