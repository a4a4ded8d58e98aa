"""Publishing the models of an image beside it, as artifacts made of the image's layers."""

from __future__ import annotations

from collections.abc import Sequence

from bentoship.assembly.config import BENTO_PATH
from bentoship.bento import Bento, Model
from bentoship.errors import BentoError, SettingsError
from bentoship.image.artifact import Artifact
from bentoship.image.layer import Layer
from bentoship.project import Run, once
from bentoship.publishing.steps import build, push
from bentoship.stores.graph import read_images
from bentoship.system.text import counted, size
from bentoship.versions.models import PackedModel, model_artifact, model_volume, own_size, put

_DOING = "Publish the models beside the image"


def check_models(run: Run) -> None:
    """Check that an image has layers of models. Raises SettingsError when it is to be built by Docker."""
    if run.project.settings.backend == "docker":
        why = "BACKEND=docker builds one layer of models and source together"
        raise SettingsError(_DOING, why, "Use BACKEND=direct, which has a layer for each model.")


@once
def push_models(run: Run) -> Sequence[str]:
    """Push the models of the published image beside it, and return their tags.

    Raises: SettingsError when the image was built by Docker; BentoError when it has no model; StoreError.
    """
    check_models(run)
    published, bento = push(run), build(run)
    if not bento.models:
        raise BentoError(_DOING, f"{bento.tag} has no model", "Leave --model-artifact out.")
    root = run.layout.resolve(published.pushed.digest)
    platform, image = next(iter(read_images(run.layout, root).items()))
    models = _packed(bento, [layer for layer in image.layers if layer.kind == "model"])
    made = _named(bento, [model_artifact(model, root) for model in models], model_volume(models, platform, root))
    registry = run.registry(published.reference, push=True)
    with run.reporter.task("push", "pushing the models beside the image"):
        for tag, artifact in made.items():
            put(registry, artifact, tag)
    added = size(sum(own_size(artifact) for artifact in made.values()))
    run.reporter.say("push", f"{counted(len(models), 'model')} beside the image, in {added} and the image's layers")
    for tag in made:
        run.reporter.say("push", str(published.reference.with_tag(tag)))
    return tuple(made)


def _packed(bento: Bento, layers: Sequence[Layer]) -> list[PackedModel]:
    """Return the models with their layers. Args: layers: of the models, in the same order."""
    return [
        PackedModel(
            model.name,
            model.version,
            layer,
            f"{BENTO_PATH}/models/{model.name}/{model.version}",
            _files(model),
            model.metadata,
        )
        for model, layer in zip(bento.models, layers, strict=True)
    ]


def _files(model: Model) -> list[str]:
    return sorted(path.relative_to(model.path).as_posix() for path in model.path.rglob("*") if path.is_file())


def _named(bento: Bento, models: Sequence[Artifact], volume: Artifact) -> dict[str, Artifact]:
    """Return artifacts by their tags: VERSION-model, from the second on VERSION-model-2, and VERSION-volume."""
    numbers = ["", *(f"-{number}" for number in range(2, len(models) + 1))]
    tags = [f"{bento.version}-model{number}" for number in numbers]
    return {**dict(zip(tags, models, strict=True)), f"{bento.version}-volume": volume}
