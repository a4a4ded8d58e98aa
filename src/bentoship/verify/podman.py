"""Running an image in a podman container."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from bentoship.stores.credentials import Credentials
from bentoship.system import process
from bentoship.system.files import OWN, temporary_folder
from bentoship.system.values import dataclass
from bentoship.verify.linux import peak_memory
from bentoship.verify.runner import PORT, STOP_TIMEOUT, Memory, RemoteImage

_PUBLISHED = ("--publish", f"127.0.0.1::{PORT}")

_MISSING = "/bentoship-tries-podman"


class PodmanRunner:
    """A runner that uses the podman command."""

    name = "podman"

    def obstacle(self) -> str | None:
        """Return why podman cannot be used; None when it can."""
        if not shutil.which("podman"):
            return "podman is not installed"
        done = _podman("info", check=False)
        if done.code:
            return f"podman does not work: {done.last_lines}"
        # Elsewhere its containers are in a virtual machine, which has other folders.
        return _trial() if sys.platform.startswith("linux") else None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[PodmanContainer]:
        """Pull and start an image; podman keeps it afterwards only if it had it before. Raises ProcessError."""
        reference = str(image.reference)
        known = _podman("image", "exists", reference, check=False).code == 0
        name = f"bentoship-verify-{secrets.token_hex(6)}"
        try:
            _pull(image)
            # Only their names are arguments, which others on this machine see.
            given = [f"--env={variable}" for variable in image.variables]
            arguments = ("create", "--name", name, *_PUBLISHED, *given, "--env", f"PORT={PORT}", reference)
            _podman(*arguments, variables=image.variables)
            _podman("start", name)
            address = _podman("port", name, f"{PORT}/tcp").stdout.split()[0]
            yield PodmanContainer(name, f"http://{address}")
        finally:
            _podman("rm", "--force", "--time", "0", "--ignore", name, check=False)
            if not known:
                _podman("rmi", "--ignore", reference, check=False)


@dataclass(frozen=True)
class PodmanContainer:
    """A podman container; a Running."""

    name: str
    address: str
    caution: str = ""

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self._state("Running") != "true"

    def log(self) -> str:
        """Return its output so far."""
        done = _podman("logs", self.name, check=False)
        return done.stdout + done.stderr

    def memory(self) -> Memory | None:
        """Return the sum of the peak memory of its processes; None where podman runs in a virtual machine."""
        return peak_memory(int(self._state("Pid"))) if sys.platform.startswith("linux") else None

    def stop(self) -> int:
        """Stop it. Returns: its exit code."""
        _podman("stop", "--time", str(STOP_TIMEOUT), self.name)
        return int(self._state("ExitCode"))

    def _state(self, key: str) -> str:
        return _podman("inspect", "--format", f"{{{{.State.{key}}}}}", self.name).stdout.strip()


def _trial() -> str | None:
    """Return why containers cannot be started, by starting one of an empty folder; None when they can.

    Only the program is missing there then. It is known before anything is pulled, which would be for nothing.
    """
    with temporary_folder(None, OWN, wait=True) as folder:
        arguments = ("run", "--rm", *_PUBLISHED, "--rootfs", folder, _MISSING)
        done = _podman(*arguments, check=False)
    return None if _MISSING in done.stderr else f"podman cannot start containers: {done.last_lines}"


def _podman(
    *arguments: str | Path, check: bool = True, variables: Mapping[str, str] = MappingProxyType({})
) -> process.Completed:
    """Run podman. Args: variables: what it passes on to a container. Raises ProcessError as `process.run` does."""
    # These variables also say where it keeps its images and how it pulls them.
    env = {**variables, **process.environment(prefixes=("CONTAINERS_", "STORAGE_", "DBUS_"))}
    # It calls iptables, which is not on the PATH of Debian's users.
    env["PATH"] = f"{env.get('PATH', '')}:/usr/sbin:/sbin"
    return process.run(["podman", *arguments], env=env, check=check)


def _pull(image: RemoteImage) -> None:
    """Pull with the account of the image, which podman itself may not have. Raises ProcessError."""
    with temporary_folder(image.scratch, "verify-", wait=True) as folder:
        account = []
        if image.credentials:
            file = Path(folder, "auth.json")  # in a folder that only this user may enter
            file.write_text(json.dumps({"auths": {image.reference.host: _auth_entry(image.credentials)}}), "utf-8")
            account = ["--authfile", str(file)]
        secure = ["--tls-verify=false"] if image.plain_http else []
        _podman("pull", "--quiet", *secure, *account, str(image.reference))


def _auth_entry(account: Credentials) -> dict[str, str]:
    """Return an account in the form of podman's files (containers-auth.json(5))."""
    if account.identity_token:
        pair, token = f"{account.user or '<token>'}:", {"identitytoken": account.identity_token}
    else:
        pair, token = f"{account.user}:{account.password}", {}
    return {"auth": base64.b64encode(pair.encode()).decode(), **token}
