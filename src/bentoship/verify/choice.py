"""Which way to start an image: an engine where there is one, else without."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bentoship.errors import NotVerifiedError
from bentoship.verify.chroot import ChrootRunner
from bentoship.verify.docker import DockerRunner
from bentoship.verify.namespace import NamespaceRunner
from bentoship.verify.podman import PodmanRunner
from bentoship.verify.runner import Runner

RUNNERS: tuple[Runner, ...] = (DockerRunner(), PodmanRunner(), NamespaceRunner(), ChrootRunner())
"""All ways, the best first."""


def choose(runners: Sequence[Runner] = RUNNERS, tell: Callable[[str], None] = lambda _: None) -> list[Runner]:
    """The ways that can be gone on this machine, the best first.

    Args:
        runners: all ways, the best first.
        tell: told why those that are better than the best one here cannot be gone.

    Raises: NotVerifiedError with all reasons when there is none.
    """
    obstacles = {runner: runner.obstacle() for runner in runners}
    usable = [runner for runner, obstacle in obstacles.items() if not obstacle]
    if not usable:
        hint = "This says nothing about the image. With Docker or podman it can be tried here."
        raise NotVerifiedError("Not verified", "; ".join(obstacles.values()), hint)
    if better := runners[: runners.index(usable[0])]:
        tell("; ".join(obstacles[runner] for runner in better))
    return usable
