"""A version of an image in a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from bentoship.image.descriptor import Descriptor
from bentoship.image.metadata import Data, Model, Value
from bentoship.system.values import dataclass
from bentoship.versions.times import rfc3339

__all__ = ["Data", "Model", "Part", "Value", "Version"]


@dataclass(frozen=True)
class Part:
    """A layer.

    Args:
        descriptor: of its blob.
        kind: base, packages, model, source …; empty in others' images.
        platforms: in an index, the platforms whose images have it; empty for all.
    """

    descriptor: Descriptor
    kind: str = ""
    platforms: Sequence[str] = ()


@dataclass(frozen=True)
class Version:
    """A version of an image, with all that its registry says of it.

    Args:
        digest: of its manifest or index.
        tags: sorted; none when only its digest is known.
        is_ours: whether it was published by bentoship; the rest is empty where it was not.
        size: the bytes of its layers, of all platforms, each layer once; None when unknown.
        platforms: such as "linux/amd64"; of a single image, those that its provenance names; empty when unknown.
        layers: of all platforms, each once.
        bento: the Bento's tag.
        description: of the Bento.
        base: the name of the base with its tag; empty when unknown.
        base_digest: "sha256:…".
        models: the models in it.
        metrics: numbers by name.
        parameters: hyperparameters by name.
        data: what its models were trained with.
        created: when it was made, by its provenance; None when that is not known.
        commit: the commit that it was made from, by its provenance.
        promoted: the names that it is promoted to, such as "production".
        verified: whether it worked when it was last verified; None when it never was.
        problem: why the registry's answer could not be read, in words; empty where it could.
    """

    digest: str
    tags: Sequence[str] = ()
    is_ours: bool = False
    size: int | None = None
    platforms: Sequence[str] = ()
    layers: Sequence[Part] = ()
    bento: str = ""
    description: str = ""
    base: str = ""
    base_digest: str = ""
    models: Sequence[Model] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Value] = field(default_factory=dict)
    data: Sequence[Data] = ()
    created: datetime | None = None
    commit: str = ""
    promoted: Sequence[str] = ()
    verified: bool | None = None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return its JSON, in the format that docs/registry.md describes."""
        return {
            "digest": self.digest,
            "tags": list(self.tags),
            "is_ours": self.is_ours,
            "created": self.created and rfc3339(self.created),
            "commit": self.commit,
            "size": self.size,
            "platforms": list(self.platforms),
            "bento": self.bento,
            "description": self.description,
            "base": {"name": self.base, "digest": self.base_digest},
            "models": [{"tag": model.tag, "metadata": dict(model.metadata)} for model in self.models],
            "metrics": dict(self.metrics),
            "parameters": dict(self.parameters),
            "data": [{"path": one.path, "digest": one.digest, "size": one.size} for one in self.data],
            "layers": [{**part.descriptor.to_dict(), "kind": part.kind} for part in self.layers],
            "promoted": list(self.promoted),
            "verified": self.verified,
            "problem": self.problem,
        }
