"""Names of images: registry, path, tag and digest, normalised as Docker does it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bentoship.errors import InvalidReferenceError

DOCKER_HUB = "docker.io"

# The grammar of the OCI distribution spec ("Pulling manifests"), hosts as Docker's reference grammar has them.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_NAME = 255


@dataclass(frozen=True)
class ImageReference:
    """Where an image is, or is to be.

    Args:
        host: the registry's host, with its port if that is not the usual one.
        path: the repository in the registry, "team/image".
        tag: a name for one version.
        digest: "sha256:…" of the manifest.

    Raises: InvalidReferenceError when one of them is not allowed.
    """

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if mistake := _mistake(self):
            raise InvalidReferenceError(f'Understand the image name "{self}"', *mistake)

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a name as people write it: "python:3.11-slim" is docker.io/library/python:3.11-slim.

        Raises: InvalidReferenceError, telling what is wrong and what is allowed.
        """
        if not text or text != text.strip():
            raise InvalidReferenceError(f'Understand the image name "{text}"', "it is empty or has spaces around it")
        if "://" in text:
            raise InvalidReferenceError(
                f'Understand the image name "{text}"', "it is an address", "Leave out what stands before the host."
            )
        name, at, digest = text.partition("@")
        # A colon before the last slash is the host's port.
        head, slash, last = name.rpartition("/")
        last, colon, tag = last.partition(":")
        host, path = _split_host(head + slash + last)
        return cls(host, path, tag if colon else None, digest if at else None)

    @property
    def repository(self) -> str:
        """The name without tag and digest."""
        return f"{self.host}/{self.path}"

    def with_tag(self, tag: str) -> ImageReference:
        """The same repository by this tag, and by no digest."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> ImageReference:
        """The same repository by this digest, and by no tag."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.repository}{tag}{digest}"


def _split_host(name: str) -> tuple[str, str]:
    """A first component is a host only if it cannot be a user of Docker Hub's."""
    first, slash, rest = name.partition("/")
    host, path = (first.lower(), rest) if slash and _is_host(first) else (DOCKER_HUB, name)
    if host == f"index.{DOCKER_HUB}":
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return host, path


def _is_host(component: str) -> bool:
    return "." in component or ":" in component or component.lower() == "localhost"


def _mistake(reference: ImageReference) -> tuple[str, str] | None:
    """What is wrong with it, and what would be right."""
    if not _is_host(reference.host) or not _HOST.fullmatch(reference.host):
        return f'"{reference.host}" is not a host', "A host is like ghcr.io, localhost:5000 or 127.0.0.1:5000."
    for component in reference.path.split("/"):
        if not _COMPONENT.fullmatch(component):
            return (
                f'"{component}" cannot be part of a path' if component else "a part of its path is empty",
                "Lower-case letters and digits are allowed, with single . or _, __ or hyphens between them.",
            )
    if len(reference.repository) > _MAX_NAME:
        return f"it is longer than {_MAX_NAME} characters", "Shorten it."
    if reference.tag is not None and not _TAG.fullmatch(reference.tag):
        return (
            f'"{reference.tag}" cannot be a tag',
            "Up to 128 letters, digits, _, . and - are allowed; the first is none of . and -.",
        )
    if reference.digest is not None and not _DIGEST.fullmatch(reference.digest):
        return f'"{reference.digest}" is not a digest', "A digest is sha256: and 64 digits or letters from a to f."
    return None
