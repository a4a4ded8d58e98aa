"""The protocol of a runner, which starts a published image in an engine or from its unpacked files."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import Literal, Protocol

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores import Store
from bentoship.stores.credentials import Credentials
from bentoship.system.values import dataclass

PORT = 3000
"""The port on which a service listens in a container."""

STOP_TIMEOUT = 30
"""Seconds within which a service has to end after SIGTERM."""


@dataclass(frozen=True)
class RemoteImage:
    """An image in a registry, and how to pull it.

    Args:
        reference: its name by digest.
        root: the descriptor of its manifest or index.
        store: its repository.
        plain_http: whether the registry uses HTTP without TLS.
        credentials: the account to pull with; None for anonymous.
        scratch: a folder for temporary files.
        variables: what its container gets besides the image's own variables.
    """

    reference: ImageReference
    root: Descriptor
    store: Store
    plain_http: bool
    credentials: Credentials | None
    scratch: Path
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """The memory of a service's processes, in bytes: the peak so far ("at most") or the current one ("resident")."""

    size: int
    measure: Literal["at most", "resident"]


class Running(Protocol):
    """A started image."""

    @property
    def address(self) -> str:
        """Return the URL at which it listens, or will listen: "http://127.0.0.1:PORT"."""

    @property
    def caution(self) -> str:
        """Return why an image that works elsewhere may not work in this runner, and what to do; empty for nothing."""

    def ended(self) -> bool:
        """Return whether it has ended."""

    def log(self) -> str:
        """Return its output so far."""

    def memory(self) -> Memory | None:
        """Return the memory that it uses; None when unknown."""

    def stop(self) -> int | None:
        """Stop it with SIGTERM, and by force after STOP_TIMEOUT.

        Returns: its exit code; None when it cannot end by itself in this runner.
        """


class Runner(Protocol):
    """A way to start an image."""

    @property
    def name(self) -> str:
        """Return its name, for use in sentences."""

    def obstacle(self) -> str | None:
        """Return why it cannot be used on this machine; None when it can."""

    def run(self, image: RemoteImage) -> AbstractContextManager[Running]:
        """Pull an image by digest and run it during the block; nothing is left behind, whatever happens.

        Raises: BentoshipError when it cannot be pulled or started.
        """
