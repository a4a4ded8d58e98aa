"""Running an image without an engine: by bubblewrap, in namespaces, or as root in a chroot (Linux)."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bentoship.errors import ProcessError
from bentoship.system import process, sandbox
from bentoship.system.sandbox import Abilities, Sandbox
from bentoship.verify.container import System
from bentoship.verify.linux import HostProcess, end_all_in, free_port
from bentoship.verify.runner import PORT, RemoteImage
from bentoship.verify.unpacked import make_devices, unpacked


class BubblewrapRunner:
    """A runner with bubblewrap, which makes the namespaces and mounts; users, limits and network are as without it."""

    name = "bubblewrap"

    def obstacle(self) -> str | None:
        """Return why bubblewrap cannot be used; None when it can."""
        if not sys.platform.startswith("linux"):
            return "bubblewrap needs Linux"
        try:
            sandbox.try_bubblewrap()
        except ProcessError as error:
            return f"bubblewrap cannot be used: {error.why}"
        return None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[HostProcess]:
        """Pull, unpack and start an image. Raises StoreError, ProcessError or NotVerifiedError."""
        found = Abilities(network=True, mounts=True, proc=True)
        with unpacked(image) as system, _started(system, sandbox.BUBBLEWRAP, found) as service:
            yield service


class NamespaceRunner:
    """A runner with namespaces for users, mounts, processes and the network, in which no user of this machine is."""

    name = "a namespace"

    def obstacle(self) -> str | None:
        """Return why namespaces cannot be used; None when they can."""
        if not sys.platform.startswith("linux"):
            return "namespaces need Linux"
        try:
            sandbox.abilities(sandbox.NAMESPACES)
        except ProcessError as error:
            return f"namespaces cannot be created: {error.why}"
        return None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[HostProcess]:
        """Pull, unpack and start an image. Raises StoreError, ProcessError or NotVerifiedError."""
        found = sandbox.abilities(sandbox.NAMESPACES)
        with unpacked(image) as system, _started(system, sandbox.NAMESPACES, found) as service:
            yield service


class ChrootRunner:
    """A runner with a chroot, and with namespaces for mounts, processes and the network where permitted.

    It is for machines without user namespaces, and for containers.

    Args:
        allowed: whether the user allows it; it guards this machine less.
    """

    name = "a chroot"

    def __init__(self, allowed: bool = False) -> None:
        self._allowed = allowed

    def obstacle(self) -> str | None:
        """Return why chroot cannot be used; None when it can."""
        if not sys.platform.startswith("linux"):
            return "a chroot needs Linux"
        if os.geteuid() != 0:
            return "only root may use chroot"
        if not self._allowed:
            return "a chroot is no full sandbox, and is used only with VERIFY_AS_ROOT=1"
        try:
            sandbox.abilities(sandbox.CHROOT)
        except ProcessError as error:
            return f"chroot is forbidden: {error.why}"
        return None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[HostProcess]:
        """Pull, unpack and start an image. Raises StoreError, ProcessError or NotVerifiedError."""
        found = sandbox.abilities(sandbox.CHROOT)
        with unpacked(image) as system:
            if not found.mounts:
                make_devices(system.root)
            try:
                with _started(system, sandbox.CHROOT, found) as service:
                    yield service
            finally:
                end_all_in(system.root)


@contextmanager
def _started(system: System, way: str, abilities: Abilities) -> Iterator[HostProcess]:
    """Run an image's own command during the block, listening on loopback only.

    Args:
        system: the image's files.
        way: how it is confined.
        abilities: what the sandbox has.
    """
    owner = sandbox.unprivileged_id()
    sandbox.give(system.root, owner)
    # In a network of its own, its port is forwarded; else it needs one of this machine's.
    own = {"PORT": str(PORT)} if abilities.network else {"PORT": str(free_port()), "BENTOML_HOST": "127.0.0.1"}
    box = Sandbox(
        system.root,
        command=system.command,
        env={**system.env, **own},
        folder=system.folder,
        user=(system.user.uid, system.user.gid),
        owner=owner,
        ways=(way,),
        system=True,
        gentle=True,
        memory=sandbox.available_memory(),
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        listening = server.fileno() if abilities.network else None
        port = server.getsockname()[1] if abilities.network else int(own["PORT"])
        command, described = box.start(listening=listening, port=PORT)
        passed = () if listening is None else (listening,)
        with process.background(command, env={}, cwd=system.root, input=described, pass_fds=passed) as running:
            server.close()  # it is the forwarder's
            service = HostProcess(running, f"http://127.0.0.1:{port}", abilities)
            try:
                yield service
            finally:
                service.kill()
