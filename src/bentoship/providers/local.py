"""A registry on this machine: the CNCF distribution registry, on loopback."""

import shlex
from collections.abc import Callable
from pathlib import Path

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.providers.registry_process import RegistryProcess, is_free
from bentoship.stores.credentials import Credentials
from bentoship.stores.graph import is_manifest


class LocalRegistry:
    """A provider whose registry runs on this machine.

    Args:
        cache_folder: bentoship's cache; its subfolder "registry" holds the registry's program, data and log.
        port: the port to listen on; None for the first free port from 5000 on, which is then remembered.
    """

    plain_http = True
    deletes_untagged = False

    def __init__(self, cache_folder: Path, port: int | None = None) -> None:
        self._process = RegistryProcess(cache_folder)
        self._port = port
        self._started: int | None = None
        self.notice = ""
        """A sentence on the last start that the user should see; empty for none."""

    def enable_api(self) -> str:
        """Do nothing: there is nothing to enable."""
        return "The local registry has nothing to enable."

    def create_registry(self) -> str:
        """Start the registry unless it is running. Raises RegistryError as `start` does."""
        host = self.start()
        return " ".join(filter(None, [self.notice, f"The local registry needs no setup; it is running at {host}."]))

    def login(self) -> str:
        """Start the registry unless it is running: it needs no login. Raises RegistryError as `start` does."""
        return f"The local registry at {self.start()} needs no account."

    def repository(self, image_name: str) -> ImageReference:
        """Return the image's repository, at the port where the registry is, was last, or would be started.

        The last port counts even while another program has it: what was published is known by its reference.
        """
        port = self._port or self._started or self._process.last_port() or self._process.free_port()
        return ImageReference(f"localhost:{port}", f"bentoship/{image_name}")

    def images(self) -> None:
        """Return None: the registry can be asked."""

    def credentials(self) -> Credentials | None:
        """Return None: the local registry needs no account."""
        return None

    def holdings(self, repository: ImageReference) -> Callable[[Descriptor], bool] | None:
        """Return a function that looks up content in the files of a stopped registry; None while it is running."""
        if self.running():
            return None
        # The distribution registry's own layout (registry/storage/paths.go).
        folder = self._process.data / "docker" / "registry" / "v2" / "repositories" / repository.path

        def holds(descriptor: Descriptor) -> bool:
            kind = "_manifests/revisions" if is_manifest(descriptor) else "_layers"
            return (folder / kind / "sha256" / descriptor.hex / "link").is_file()

        return holds

    def start(self) -> str:
        """Start the registry unless it is running, and wait until it responds.

        Returns: "localhost:PORT".

        Raises: RegistryError when it does not start, or the given port is in use.
        """
        self.notice = ""
        port, lost = self._process.start(self._port)
        if lost:
            self.notice = f"Port {lost} is in use by another program; the local registry moved to {port}."
        self._started = port  # so that `repository` need not look it up again
        return f"localhost:{port}"

    def obstacle(self) -> str:
        """Return why the registry could not start on its configured port; empty when it could. Starts nothing."""
        if self._port is None or self.running() == self._port or is_free(self._port):
            return ""
        return f"port {self._port} is in use by another program or registry"

    def stop(self) -> bool:
        """Stop the registry, keeping its data. Returns: whether it was running."""
        self._started = None
        return self._process.stop()

    def garbage_collection(self) -> str:
        """Return the command line that frees the space of blobs that no image needs, while the registry is stopped."""
        return shlex.join(self._process.garbage_collection())

    def running(self) -> int | None:
        """Return the port on which our registry responds; None when it is not running."""
        return self._process.port()
