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


def choose(runners: Sequence[Runner] = RUNNERS) -> list[Runner]:
    """The ways that can be gone on this machine, the best first. Raises NotVerifiedError with all reasons for none."""
    obstacles = {runner: runner.obstacle() for runner in runners}
    if usable := [runner for runner, obstacle in obstacles.items() if not obstacle]:
        return usable
    hint = "This says nothing about the image. With Docker or podman it can be tried here."
    raise NotVerifiedError("Not verified", "; ".join(obstacles.values()), hint)
