"""Where a published image can be tried: an engine, or its unpacked files on this machine."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores import Store
from bentoship.stores.credentials import Credentials

PORT = 3000
"""Where a service listens in a container of its own."""

STOP_TIMEOUT = 30
"""Seconds that a service has to end after SIGTERM."""


@dataclass(frozen=True)
class RemoteImage:
    """An image in a registry, and how it is pulled from there.

    Args:
        reference: its name by digest.
        root: what the digest stands for.
        store: its repository.
        plain_http: whether the registry speaks HTTP without TLS.
        credentials: the account to pull as; None for nobody.
        scratch: a folder for temporary ones.
    """

    reference: ImageReference
    root: Descriptor
    store: Store
    plain_http: bool
    credentials: Credentials | None
    scratch: Path


@dataclass(frozen=True)
class Memory:
    """What the processes of a service hold, in bytes: at most so far, or now."""

    size: int
    measure: Literal["at most", "resident"]


class Running(Protocol):
    """An image that was started."""

    @property
    def address(self) -> str:
        """Where it listens, or will: "http://127.0.0.1:PORT"."""

    def ended(self) -> bool:
        """Return whether it runs no more."""

    def log(self) -> str:
        """Return what it has written so far."""

    def memory(self) -> Memory | None:
        """Return what it holds; None when that cannot be told."""

    def stop(self) -> int | None:
        """Ask it to end, by SIGTERM, and by force after STOP_TIMEOUT.

        Returns: its exit code; None when it cannot end by itself in this place.
        """


class Runner(Protocol):
    """One way to start an image."""

    @property
    def name(self) -> str:
        """What it is called in sentences."""

    def obstacle(self) -> str | None:
        """Return why it cannot be used on this machine; None when it can."""

    def run(self, image: RemoteImage) -> AbstractContextManager[Running]:
        """Pull an image by digest and start it; whatever happens in the block, nothing is left after it.

        Raises: BentoshipError when it cannot be pulled or started.
        """
