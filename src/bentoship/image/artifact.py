"""Artifacts: manifests of anything but images, such as attestations.

OCI image spec, manifest.md, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from bentoship.image.descriptor import MANIFEST, Descriptor
from bentoship.image.document import to_json
from bentoship.system.values import dataclass

EMPTY = "application/vnd.oci.empty.v1+json"
"""The media type of `{}`, which stands for a configuration where there is none."""

EMPTY_CONTENT = b"{}"


@dataclass(frozen=True)
class Blob:
    """A blob of an artifact, in memory.

    Args:
        media_type: the type of its content.
        content: its bytes.
        annotations: of its descriptor; with a title, `oras pull` writes it to a file of that name.
    """

    media_type: str
    content: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """Return its descriptor."""
        return Descriptor.of(self.media_type, self.content)


@dataclass(frozen=True)
class Linked:
    """A blob of an artifact that its store has already, such as a layer of an image.

    Args:
        descriptor: of its content.
        annotations: of its descriptor.
    """

    descriptor: Descriptor
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """An artifact.

    Args:
        artifact_type: the media type that says what it is; empty for an image, and for layouts older than such types.
        blobs: the layers that are pushed with it, in order.
        annotations: the manifest's annotations.
        subject: the manifest that it refers to, such as the image that an attestation is about; None for none.
        config: its configuration.
        linked: the layers that its store has already, after the blobs.
    """

    artifact_type: str
    blobs: Sequence[Blob] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Descriptor | None = None
    config: Blob = Blob(EMPTY, EMPTY_CONTENT)
    linked: Sequence[Linked] = ()

    @property
    def manifest(self) -> bytes:
        """Return its manifest."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            **({"artifactType": self.artifact_type} if self.artifact_type else {}),
            "config": self.config.descriptor.to_dict(),
            "layers": [*map(_layer, self.blobs), *map(_layer, self.linked)],
            **({"subject": self.subject.to_dict()} if self.subject else {}),
            **({"annotations": dict(sorted(self.annotations.items()))} if self.annotations else {}),
        }
        return to_json(document)

    @property
    def descriptor(self) -> Descriptor:
        """Return the descriptor of its manifest."""
        return Descriptor.of(MANIFEST, self.manifest)


def _layer(blob: Blob | Linked) -> dict[str, Any]:
    """Return the descriptor of a blob, as a manifest lists it."""
    annotations = {"annotations": dict(blob.annotations)} if blob.annotations else {}
    return {**blob.descriptor.to_dict(), **annotations}
