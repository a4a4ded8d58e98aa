"""Image names: registry, path, tag and digest, normalised as Docker does."""

from __future__ import annotations

import re
from dataclasses import replace

from bentoship.errors import InvalidReferenceError, StoreError
from bentoship.system.values import dataclass

DOCKER_HUB = "docker.io"

# The grammar of the OCI distribution spec ("Pulling manifests"); hosts follow Docker's reference grammar.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_NAME = 255


@dataclass(frozen=True)
class ImageReference:
    """The name of an image in a registry.

    Args:
        host: the registry's host, with its port unless that is the default one.
        path: the path of the repository in the registry, "team/image".
        tag: the name of one version.
        digest: "sha256:…" of the manifest.

    Raises: InvalidReferenceError when a part is invalid.
    """

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if mistake := _mistake(self):
            raise InvalidReferenceError(f'Parse the image name "{self}"', *mistake)

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Parse an image name as people write it: "python:3.11-slim" is docker.io/library/python:3.11-slim.

        Raises: InvalidReferenceError, with what is wrong and what is allowed.
        """
        if not text or text != text.strip():
            raise InvalidReferenceError(f'Parse the image name "{text}"', "it is empty or has spaces around it")
        if "://" in text:
            raise InvalidReferenceError(
                f'Parse the image name "{text}"', "it is a URL", "Leave out what comes before the host."
            )
        name, at, digest = text.partition("@")
        # A colon before the last slash belongs to the host's port.
        head, slash, last = name.rpartition("/")
        last, colon, tag = last.partition(":")
        host, path = _split_host(head + slash + last)
        return cls(host, path, tag if colon else None, digest if at else None)

    @property
    def repository(self) -> str:
        """Return the name without tag and digest."""
        return f"{self.host}/{self.path}"

    def with_tag(self, tag: str) -> ImageReference:
        """Return the same repository with this tag and no digest."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> ImageReference:
        """Return the same repository with this digest and no tag."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.repository}{tag}{digest}"


def version_in(repository: str, text: str) -> str:
    """Return the tag or digest by which a person names a version of a repository.

    Args:
        repository: the registry's host and the path.
        text: a tag, a digest, or a whole reference, as `publish` prints it; one without either means latest.

    Raises: InvalidReferenceError; StoreError when the reference is of another repository.
    """
    is_whole = "/" in text or "@" in text
    separator = "@" if text.startswith("sha256:") else ":"
    try:
        reference = ImageReference.parse(text if is_whole else f"{repository}{separator}{text}")
    except InvalidReferenceError as error:
        raise InvalidReferenceError(f'Read the version "{text}"', error.why, error.hint) from error
    if reference.repository != repository:
        why = f"it is in another repository, {reference.repository}"
        hint = "Publish it to this repository first, or name another version."
        raise StoreError(f"Find {text} in {repository}", why, hint)
    return reference.digest or reference.tag or "latest"


def _split_host(name: str) -> tuple[str, str]:
    """Return host and path of a name; the first component is a host only if it cannot be a Docker Hub user."""
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
    """Return what is wrong with a reference and what is allowed; None when it is valid."""
    if not _is_host(reference.host) or not _HOST.fullmatch(reference.host):
        return f'"{reference.host}" is not a host', "Examples of hosts: ghcr.io, localhost:5000, 127.0.0.1:5000."
    for component in reference.path.split("/"):
        if not _COMPONENT.fullmatch(component):
            return (
                f'"{component}" is not allowed in a path' if component else "a part of its path is empty",
                "Use lower-case letters and digits, separated by a single . or _, by __, or by hyphens.",
            )
    if len(reference.repository) > _MAX_NAME:
        return f"it is longer than {_MAX_NAME} characters", "Shorten it."
    if reference.tag is not None and not _TAG.fullmatch(reference.tag):
        return (
            f'"{reference.tag}" is not a valid tag',
            "Use up to 128 letters, digits, _, . and -, starting with neither . nor -.",
        )
    if reference.digest is not None and not _DIGEST.fullmatch(reference.digest):
        return f'"{reference.digest}" is not a digest', "A digest is sha256: followed by 64 hexadecimal digits."
    return None
