"""Which way to start an image: an engine where there is one, else without."""

from collections.abc import Callable, Sequence
from itertools import takewhile

from bentoship.errors import NotVerifiedError
from bentoship.verify.docker import DockerRunner
from bentoship.verify.podman import PodmanRunner
from bentoship.verify.runner import Runner
from bentoship.verify.unshare import ChrootRunner, NamespaceRunner

RUNNERS: tuple[Runner, ...] = (DockerRunner(), PodmanRunner(), NamespaceRunner(), ChrootRunner())
"""All ways, the best first."""


def usable_runners(
    runners: Sequence[Runner] = RUNNERS, tell: Callable[[str], None] = lambda _: None
) -> Sequence[Runner]:
    """Return those runners that can be used on this machine, the best first.

    Args:
        runners: all of them, the best first.
        tell: told why those that are better than the best one here cannot be used.

    Raises: NotVerifiedError with all reasons when there is none.
    """
    obstacles = [(runner, runner.obstacle()) for runner in runners]
    usable = [runner for runner, obstacle in obstacles if obstacle is None]
    reasons = "; ".join(obstacle for _, obstacle in takewhile(lambda pair: pair[1] is not None, obstacles) if obstacle)
    if not usable:
        hint = "This says nothing about the image. With Docker or podman it can be tried here."
        raise NotVerifiedError("Not verified", reasons, hint)
    if reasons:
        tell(reasons)
    return usable
