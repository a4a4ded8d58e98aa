"""The choice of a runner: an engine if there is one, else without an engine."""

from collections.abc import Callable, Sequence
from itertools import takewhile

from bentoship.errors import NotVerifiedError
from bentoship.verify.docker import DockerRunner
from bentoship.verify.podman import PodmanRunner
from bentoship.verify.runner import Runner
from bentoship.verify.sandboxes import BubblewrapRunner, ChrootRunner, NamespaceRunner


def all_runners(*, as_root: bool = False) -> tuple[Runner, ...]:
    """Return all runners, the best first. Args: as_root: whether the user allows what only root can do."""
    return DockerRunner(), PodmanRunner(), BubblewrapRunner(), NamespaceRunner(), ChrootRunner(as_root)


def usable_runners(runners: Sequence[Runner], tell: Callable[[str], None] = lambda _: None) -> Sequence[Runner]:
    """Return the runners that can be used on this machine, the best first.

    Args:
        runners: the runners to choose from, the best first.
        tell: called with the reasons why better runners cannot be used.

    Raises: NotVerifiedError, with all reasons, when there is none.
    """
    obstacles = [(runner, runner.obstacle()) for runner in runners]
    usable = [runner for runner, obstacle in obstacles if obstacle is None]
    reasons = "; ".join(obstacle for _, obstacle in takewhile(lambda pair: pair[1] is not None, obstacles) if obstacle)
    if not usable:
        hint = "This says nothing about the image. Install Docker, podman or bubblewrap to verify it here."
        raise NotVerifiedError("Not verified", reasons, hint)
    if reasons:
        tell(reasons)
    return usable
