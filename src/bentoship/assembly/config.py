"""The settings and metadata of an image: written when it is assembled, read back when images are compared.

They are compatible with images built by `bentoml containerize` (bentoml/_internal/container/frontend/dockerfile), so
that either can replace the other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bentoship.bases import Base
from bentoship.bento import Bento
from bentoship.image import keys
from bentoship.image.manifest import Image, variables
from bentoship.image.metadata import Metadata, Model, as_text
from bentoship.image.platforms import DEFAULT_PATH
from bentoship.packages.target import VENV
from bentoship.system.urls import without_secrets

USER, UID = "bentoml", 1034
HOME = f"home/{USER}"
BENTO_PATH = f"{HOME}/bento"

_OCI = "org.opencontainers.image."
_OF_IMAGES = (_OCI, "org.bentoship.")
"""The beginnings of labels that a base has of itself, which are not true of what is put on it."""

_BASE = "org.bentoship.base"
_PACKAGES = "org.bentoship.packages"


def config_for(bento: Bento, base: Base, lines: Sequence[str]) -> dict[str, Any]:
    """Return the `config` object of an image. The base's Cmd is dropped: the entrypoint would take it as arguments."""
    inherited = variables(base.config)
    env = {
        **inherited,
        "PATH": f"/{VENV}/bin:{inherited.get('PATH', DEFAULT_PATH)}",
        "VIRTUAL_ENV": f"/{VENV}",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BENTO_PATH": f"/{BENTO_PATH}",
        "BENTOML_HOME": f"/{HOME}/",
        "BENTOML_HF_CACHE_DIR": f"/{BENTO_PATH}/hf-models",
        "BENTOML_CONTAINERIZED": "true",
        **{env.name: env.value for env in bento.envs if env.is_in_image},
    }
    labels = {
        **{name: text for name, text in (base.config.get("Labels") or {}).items() if not name.startswith(_OF_IMAGES)},
        **dict(bento.labels),
        **annotations_for(bento, base),
        _BASE: json.dumps(base.origin, sort_keys=True, separators=(",", ":")),
        _PACKAGES: json.dumps([without_secrets(line) for line in lines], separators=(",", ":"), ensure_ascii=False),
    }
    return {
        **{key: base.config[key] for key in ("Healthcheck", "Volumes", "StopSignal", "Shell") if key in base.config},
        "User": USER,
        "ExposedPorts": {"3000/tcp": {}, "3001/tcp": {}, **(base.config.get("ExposedPorts") or {})},
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Entrypoint": [f"/{BENTO_PATH}/env/docker/entrypoint.sh"],
        "WorkingDir": f"/{BENTO_PATH}",
        "Labels": dict(sorted(labels.items())),
    }


def annotations_for(bento: Bento, base: Base | None = None) -> dict[str, str]:
    """Return the manifest's annotations, which can be read without pulling the image; the labels repeat them.

    What the Bento's own labels say by the OCI specification's keys is said there, too, but not of a known base.

    Args:
        bento: what the image serves.
        base: what it is put on; None where that is not known.
    """
    metadata = metadata_of(bento)
    own = {name: text for name, text in bento.labels if name.startswith(_OCI)}
    facts = {keys.BASE_NAME: base.name, keys.BASE_DIGEST: base.origin.get("digest", "")} if base else {}
    return {**metadata.annotations, **own, **{key: text for key, text in facts.items() if text}}


def metadata_of(bento: Bento) -> Metadata:
    """Return what an image says of its Bento."""
    said = bento.metadata or Metadata(models=tuple(Model.of(model.tag, model.metadata) for model in bento.models))
    return replace(said, title=bento.name, version=bento.version, bento=bento.tag)


def base_of(image: Image) -> dict[str, Any]:
    """Return the origin of an assembled image's base, as in `Base.origin`. Raises KeyError or ValueError."""
    return dict(json.loads(image.settings["Labels"][_BASE]))


def packages_of(image: Image) -> list[str]:
    """Return the requirement lines of an assembled image. Raises KeyError or ValueError."""
    return list(json.loads(image.settings["Labels"][_PACKAGES]))


def models_of(image: Image) -> list[str]:
    """Return the tags of an assembled image's models, in the order of their layers. Raises ValueError."""
    return [model["tag"] for model in json.loads(image.annotations.get(keys.MODELS, "[]"))]


def own_settings(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return a container's settings by name: variables, labels and the rest, without what other parts say already."""
    implied = (keys.VERSION, keys.BASE_DIGEST)
    labels = {
        name: text
        for name, text in settings["Labels"].items()
        if not name.startswith("org.bentoship.") and name not in implied
    }
    rest = {name: json.dumps(value) for name, value in settings.items() if name not in ("Labels", "Env")}
    return {**labels, **variables(settings), **rest}


def experiment_of(image: Image) -> dict[str, str]:
    """Return the metrics, hyperparameters and data that an image names, each as a text by its name."""
    metadata = Metadata.parse(image.annotations)
    return {
        **{f"metric {name}": str(value) for name, value in metadata.metrics.items()},
        **{f"hyperparameter {name}": as_text(value) for name, value in metadata.parameters.items()},
        **{f"data {one.path}": one.digest for one in metadata.data},
        **({"what is too large for annotations": text} if (text := image.annotations.get(keys.METADATA)) else {}),
    }
