"""Content descriptors, by which manifests and indexes refer to their parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from bentoship.system.values import dataclass

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFEST_TYPES = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES = frozenset({INDEX, DOCKER_MANIFEST_LIST})
CONFIG_TYPES = frozenset({CONFIG, "application/vnd.docker.container.image.v1+json"})
"""Of images; a manifest with another kind of configuration is of something else."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_SIZE = 1 << 63  # an int64 (descriptor.md)


@dataclass(frozen=True)
class Descriptor:
    """The media type, digest and size of a piece of content (OCI image spec, descriptor.md).

    Args:
        media_type: the type of the content.
        digest: "sha256:" and 64 hex digits.
        size: the content's size in bytes.
    """

    media_type: str
    digest: str
    size: int

    @property
    def hex(self) -> str:
        """Return the digest without its algorithm."""
        return self.digest.partition(":")[2]

    @classmethod
    def of(cls, media_type: str, content: bytes) -> Descriptor:
        """Return the descriptor of content in memory."""
        return cls(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Descriptor:
        """Read a descriptor from a manifest's JSON. Raises KeyError, TypeError or ValueError when it is not one."""
        digest, size = str(data["digest"]), data["size"]
        if not _DIGEST.fullmatch(digest):  # it names a file of ours
            raise ValueError(f"{digest[:80]!r} is not a SHA-256 digest")
        if type(size) is not int or not 0 <= size < _MAX_SIZE:
            raise ValueError(f"{str(size)[:80]} is not a size")
        return cls(str(data["mediaType"]), digest, size)

    def to_dict(self) -> dict[str, Any]:
        """Return the descriptor in the form of a manifest's JSON."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def short(digest: str) -> str:
    """Return enough of a digest for a person to tell it from others."""
    return digest[:19]
