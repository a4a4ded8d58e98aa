"""The models of an image as artifacts of their own, made of the image's layers, so that no model is sent twice.

There is a ModelPack artifact for each model (github.com/modelpack/model-spec, 0.0.7), and an image of all models, which
Kubernetes mounts as a volume.
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
"""The keys of BentoML's metadata that ModelPack's configuration has, too (docs/config.md)."""

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
        metadata: what was saved with it in BentoML's model store.
    """

    name: str
    version: str
    layer: Layer
    path: str
    files: Sequence[str] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


def model_artifact(model: PackedModel, image: Descriptor) -> Artifact:
    """Return the ModelPack artifact of a model. Args: model: it; image: the manifest or index that has the layer."""
    texts = {name: text for name, text in model.metadata.items() if isinstance(text, str)}
    described = {"name": model.name, "version": model.version, **_chosen(texts, _DESCRIBED)}
    config = {
        "descriptor": described,
        "config": {**_format(model.files), **_chosen(texts, _TECHNICAL)},
        "modelfs": {"type": "layers", "diffIds": [model.layer.diff_id]},
    }
    layer = model.layer.descriptor
    weights = Descriptor(_WEIGHTS[layer.media_type], layer.digest, layer.size)
    # ORAS passes over what has no file name.
    file = f"{model.name}-{model.version}.tar{'.gz' if layer.media_type == LAYER_GZIP else ''}"
    return Artifact(
        keys.MODEL_TYPE,
        annotations={keys.TITLE: model.name, keys.VERSION: model.version},
        subject=image,
        config=Blob(_CONFIG, to_json(config)),
        linked=[Linked(weights, {_PATH: model.path, keys.TITLE: file})],
    )


def model_volume(models: Sequence[PackedModel], platform: str, image: Descriptor) -> Artifact:
    """Return the image that consists of models alone.

    Args:
        models: the models.
        platform: for its configuration; a runtime that mounts the image ignores it.
        image: the manifest or index that has the layers.
    """
    layers = [model.layer for model in models]
    config = image_of(layers, {}, platform, {}).config
    linked = [Linked(layer.descriptor, {KIND: layer.kind}) for layer in layers]
    names = ", ".join(f"{model.name}:{model.version}" for model in models)
    return Artifact("", annotations={keys.TITLE: names}, subject=image, config=Blob(CONFIG, config), linked=linked)


def put(registry: RegistryStore, artifact: Artifact, tag: str) -> None:
    """Push an artifact, and point its tag at it unless it does so already: registries may refuse to set a tag again.

    Raises: StoreError.
    """
    attach(registry, artifact)
    current = None
    with suppress(StoreError):
        current = registry.digest_of(tag)
    if current != artifact.descriptor.digest:
        registry.tag(artifact.descriptor, tag)


def own_size(artifact: Artifact) -> int:
    """Return the bytes of an artifact that its store lacked: all but the linked layers."""
    blobs = (artifact.config, *artifact.blobs)
    return len(artifact.manifest) + sum(len(blob.content) for blob in blobs if isinstance(blob, Blob))


def _chosen(texts: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: texts[name] for name in names if texts.get(name)}


def _format(files: Iterable[str]) -> dict[str, str]:
    """Return the format of a model, if the names of its files tell it."""
    found = {_FORMATS[suffix] for name in files if (suffix := PurePosixPath(name).suffix.lower()) in _FORMATS}
    return {"format": found.pop()} if len(found) == 1 else {}
