"""What a Bento is built from, and what it is then: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentoship.packages.requirements import LOCK_PLATFORM
from bentoship.system.git import nearest


@dataclass(frozen=True)
class Model:
    """A model that a Bento packs, in the model store."""

    name: str
    version: str
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def tag(self) -> str:
        """NAME:VERSION."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class Env:
    """A variable that a Bento asks for.

    Args:
        stage: "all", "runtime", or "build" for one that only a build with a Dockerfile sees (BentoML's EnvStage).
    """

    name: str
    value: str
    stage: str


@dataclass(frozen=True)
class Bento:
    """A Bento in the store, and what it asks of its image.

    Args:
        base_image: the base that its bentofile names; empty when it names none.
        needs_dockerfile: why it cannot be put together from layers, in words; empty when it can.
        fresh: whether it was built just now.
        imported_models: tags of the models that came into the model store for it.
    """

    name: str
    version: str
    path: Path
    python_version: str
    base_image: str
    models: tuple[Model, ...]
    envs: tuple[Env, ...]
    labels: tuple[tuple[str, str], ...]
    needs_dockerfile: tuple[str, ...]
    fresh: bool = False
    imported_models: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """NAME:VERSION."""
        return f"{self.name}:{self.version}"

    @classmethod
    def from_description(cls, data: Mapping[str, Any], *, fresh: bool = False) -> Bento:
        """Return the Bento that a build has described in JSON. Raises KeyError or TypeError when it is no description.

        Args:
            data: what `bentoship.bento.child` answers.
            fresh: whether it was built just now.
        """
        return cls(
            name=data["name"],
            version=data["version"],
            path=Path(data["path"]),
            python_version=data["python_version"],
            base_image=data["base_image"],
            models=tuple(Model(m["name"], m["version"], Path(m["path"]), m["metadata"]) for m in data["models"]),
            envs=tuple(Env(e["name"], e["value"], e["stage"]) for e in data["envs"]),
            labels=tuple(sorted(data["labels"].items())),
            needs_dockerfile=tuple(data["needs_dockerfile"]),
            fresh=fresh,
            imported_models=tuple(data["imported_models"]) if fresh else (),
        )


@dataclass(frozen=True)
class BuildContext:
    """What a Bento is built from, and where it is remembered.

    Args:
        folder: the project, with bentofile.yaml in it.
        records: a folder that remembers which inputs gave which Bento.
        bentoml_home: BentoML's own folder, with the stores of Bentos and models.
        platform: what its packages are locked for.
    """

    folder: Path
    records: Path
    bentoml_home: Path
    platform: str = LOCK_PLATFORM

    @property
    def bentofile(self) -> Path:
        """The file that says what is packed."""
        return self.folder / "bentofile.yaml"

    @property
    def store(self) -> Path:
        """BentoML's folder of Bentos, with NAME/VERSION for each."""
        return self.bentoml_home / "bentos"

    @property
    def exported_models(self) -> list[Path]:
        """The models that come with the project, for stores that lack them; also those in a parent's model/."""
        return nearest(self.folder, "model/*.bentomodel")
