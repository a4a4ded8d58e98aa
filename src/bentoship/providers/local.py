"""A registry on this machine: the CNCF distribution registry, on loopback."""

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
        cache_folder: bentoship's; the registry's program, data and log are kept in "registry" there.
        port: where it has to listen; None for the first free port from 5000 on, which is then remembered.
    """

    plain_http = True

    def __init__(self, cache_folder: Path, port: int | None = None) -> None:
        self._process = RegistryProcess(cache_folder)
        self._port = port
        self._started: int | None = None
        self.notice = ""
        """What people should know about the last start; empty for nothing."""

    def enable_api(self) -> str:
        """Do nothing: there is nothing to enable."""
        return "The local registry has nothing to enable."

    def create_registry(self) -> str:
        """Start the registry unless it runs. Raises as `start` does."""
        host = self.start()
        return " ".join(filter(None, [self.notice, f"The local registry needs no creating; it runs at {host}."]))

    def login(self) -> str:
        """Start the registry unless it runs: pushing needs nothing else. Raises as `start` does."""
        return f"The local registry at {self.start()} asks for no account."

    def repository(self, image_name: str) -> ImageReference:
        """Return where the image is, or will be: at the port where the registry runs, or would when it is started."""
        port = self._port or self._started or self.running() or self._process.free_port()
        return ImageReference(f"localhost:{port}", f"bentoship/{image_name}")

    def credentials(self) -> Credentials | None:
        """Return None: it asks for none."""
        return None

    def holdings(self, repository: ImageReference) -> Callable[[Descriptor], bool] | None:
        """Return what tells from its files whether the registry has something; None while it runs and can be asked."""
        if self.running():
            return None
        # The distribution registry's own layout (registry/storage/paths.go).
        folder = self._process.data / "docker" / "registry" / "v2" / "repositories" / repository.path

        def holds(descriptor: Descriptor) -> bool:
            kind = "_manifests/revisions" if is_manifest(descriptor) else "_layers"
            return (folder / kind / "sha256" / descriptor.hex / "link").is_file()

        return holds

    def start(self) -> str:
        """Start the registry unless it runs, and wait until it answers.

        Returns: "localhost:PORT".

        Raises: RegistryError when it does not start, or the given port is taken.
        """
        self.notice = ""
        port, lost = self._process.start(self._port)
        if lost:
            self.notice = f"Port {lost} is taken by another program; the local registry moved to {port}."
        self._started = port  # so that it is not asked again for each name
        return f"localhost:{port}"

    def obstacle(self) -> str:
        """Return why it would not start at the port it is given; empty when nothing is in the way. Starts nothing."""
        if self._port is None or self.running() == self._port or is_free(self._port):
            return ""
        return f"port {self._port} is taken by another program or registry"

    def stop(self) -> bool:
        """End the registry; its data stays. Returns: whether it ran."""
        self._started = None
        return self._process.stop()

    def running(self) -> int | None:
        """Return the port at which our registry answers; None when it does not run."""
        return self._process.port()
