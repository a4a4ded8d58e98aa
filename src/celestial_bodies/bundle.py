"""The trained classifier as a BentoML model, and as a file that can be committed."""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bentoml
from bentoml import Model

MODEL_NAME = "celestial_bodies_classifier_model"


def keep(content: Mapping[str, bytes], metadata: dict[str, Any]) -> Model:
    """Keep a classifier in the BentoML store, under a version that its content decides.

    Args:
        content: the files of its folder, by name.
        metadata: what is to be known of it; JSON types only.

    Returns:
        The model; one that is in the store already is not made again.
    """
    tag = f"{MODEL_NAME}:{_version(content, metadata)}"
    try:
        return bentoml.models.get(tag)
    except bentoml.exceptions.NotFound:
        pass
    with bentoml.models.create(tag, labels={"format": "onnx"}, metadata=metadata) as model:
        for name, data in content.items():
            Path(model.path_of(name)).write_bytes(data)
    return model


def export(model: Model, path: Path) -> None:
    """Write a model to a ``.bentomodel`` file, over what is there.

    Args:
        model: lies in the BentoML store.
        path: the file to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        exported = Path(bentoml.models.export_model(model.tag, f"{scratch}/exported.bentomodel"))
        # BentoML's archive tells who exported it, and when; this one holds the same files and tells neither.
        with tarfile.open(exported, "r:xz") as source, tarfile.open(path, "w:xz", format=tarfile.PAX_FORMAT) as target:
            for member in sorted(source, key=lambda member: member.name):
                anonymous = tarfile.TarInfo(member.name)
                anonymous.type, anonymous.size = member.type, member.size
                anonymous.mode = 0o755 if member.isdir() else 0o644
                target.addfile(anonymous, source.extractfile(member))


def _version(content: Mapping[str, bytes], metadata: dict[str, Any]) -> str:
    """The first 16 hexadecimal digits of a hash over the files and the metadata: equal results have equal tags."""
    total = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(content):
        total.update(f"{name}\0{hashlib.sha256(content[name]).hexdigest()}\n".encode())
    return total.hexdigest()[:16]
