"""The models of an image by themselves: artifacts of the layers that it has, so that no model is sent twice.

A ModelPack artifact for each model (github.com/modelpack/model-spec, 0.0.7), and an image of all models, which is
mounted as a volume in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import PurePosixPath

from bentoship.errors import StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob, Linked
from bentoship.image.descriptor import CONFIG, LAYER_GZIP, LAYER_TAR, Descriptor
from bentoship.image.document import to_json
from bentoship.image.layer import Layer
from bentoship.image.manifest import KIND, image_of
from bentoship.stores.artifacts import attach
from bentoship.stores.registry import RegistryStore
from bentoship.system.values import dataclass

_CONFIG = "application/vnd.cncf.model.config.v1+json"
_WEIGHTS = {
    LAYER_TAR: "application/vnd.cncf.model.weight.v1.tar",
    LAYER_GZIP: "application/vnd.cncf.model.weight.v1.tar+gzip",
}
_PATH = "org.cncf.model.filepath"

_DESCRIBED = ("title", "description", "family", "vendor", "docURL", "sourceURL")
_TECHNICAL = ("architecture", "format", "paramSize", "precision", "quantization")
"""What of BentoML's metadata ModelPack has a place for, by the same names (docs/config.md)."""

_FORMATS = {
    ".onnx": "onnx", ".safetensors": "safetensors", ".gguf": "gguf", ".pt": "pt", ".pth": "pt", ".pb": "tensorflow",
    ".keras": "keras", ".tflite": "tflite", ".joblib": "joblib", ".pkl": "pickle",
}  # fmt: skip


@dataclass(frozen=True)
class PackedModel:
    """A model in an image.

    Args:
        name: its name.
        version: its version.
        layer: the layer of the image that it is in.
        path: where it is in the layer.
        files: the names of its files.
        metadata: what BentoML was told about it.
    """

    name: str
    version: str
    layer: Layer
    path: str
    files: Sequence[str] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


def model_artifact(model: PackedModel, image: Descriptor) -> Artifact:
    """Return the ModelPack artifact of a model. Args: model: it; image: the manifest or index that has the layer."""
    said = {name: text for name, text in model.metadata.items() if isinstance(text, str)}
    described = {"name": model.name, "version": model.version, **_chosen(said, _DESCRIBED)}
    config = {
        "descriptor": described,
        "config": {**_format(model.files), **_chosen(said, _TECHNICAL)},
        "modelfs": {"type": "layers", "diffIds": [model.layer.diff_id]},
    }
    layer = model.layer.descriptor
    weights = Descriptor(_WEIGHTS[layer.media_type], layer.digest, layer.size)
    return Artifact(
        keys.MODEL_TYPE,
        annotations={keys.TITLE: model.name, keys.VERSION: model.version},
        subject=image,
        config=Blob(_CONFIG, to_json(config)),
        linked=[Linked(weights, {_PATH: model.path})],
    )


def model_volume(models: Sequence[PackedModel], platform: str, image: Descriptor) -> Artifact:
    """Return the image that consists of models alone.

    Args:
        models: the models.
        platform: what it is said to be for; a runtime that mounts it does not look at that.
        image: the manifest or index that has the layers.
    """
    layers = [model.layer for model in models]
    config = image_of(layers, {}, platform, {}).config
    linked = [Linked(layer.descriptor, {KIND: layer.kind}) for layer in layers]
    names = ", ".join(f"{model.name}:{model.version}" for model in models)
    return Artifact("", annotations={keys.TITLE: names}, subject=image, config=Blob(CONFIG, config), linked=linked)


def put(registry: RegistryStore, artifact: Artifact, tag: str) -> None:
    """Push an artifact, and point its tag at it unless it does: a registry may refuse to set a tag twice.

    Raises: StoreError.
    """
    attach(registry, artifact)
    before: Descriptor | None = None
    with suppress(StoreError):
        before = registry.resolve(tag)
    if before is None or before.digest != artifact.descriptor.digest:
        registry.tag(artifact.descriptor, tag)


def own_size(artifact: Artifact) -> int:
    """Return the bytes that an artifact adds to what its store has."""
    blobs = (artifact.config, *artifact.blobs)
    return len(artifact.manifest) + sum(len(blob.content) for blob in blobs if isinstance(blob, Blob))


def _chosen(said: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: said[name] for name in names if said.get(name)}


def _format(files: Iterable[str]) -> dict[str, str]:
    """Return the format of a model's files, if it is one that their names say."""
    found = {_FORMATS[suffix] for name in files if (suffix := PurePosixPath(name).suffix.lower()) in _FORMATS}
    return {"format": found.pop()} if len(found) == 1 else {}
