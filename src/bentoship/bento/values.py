"""A Bento and what it is built from, as plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bentoship.packages.requirements import LOCK_PLATFORM
from bentoship.system.git import nearest
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from bentoship.image.metadata import Metadata

Python = Literal["auto", "host", "own"]


_OF_MODEL = ("metadata", "digests", "labels", "options")


@dataclass(frozen=True)
class Model:
    """A model in the model store that a Bento packs.

    Args:
        name: its name.
        version: its version.
        path: its folder in the model store.
        metadata: the metadata that was saved with it.
        digests: the SHA-256 that its files have to have, by their paths in it, as far as they are known.
        labels: the labels that were saved with it.
        options: the options of its framework that were saved with it.
    """

    name: str
    version: str
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    digests: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    labels: Mapping[str, Any] = field(default_factory=dict, hash=False)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def tag(self) -> str:
        """Return NAME:VERSION."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class Env:
    """An environment variable of a Bento.

    Args:
        name: its name.
        value: its value.
        stage: where it is set (BentoML's EnvStage): "all", "runtime", or "build" for only the build of a Dockerfile.
    """

    name: str
    value: str
    stage: str

    @property
    def is_in_image(self) -> bool:
        """Return whether the image has it: not one of another stage, and not one without a value.

        BentoML asks for the latter when the service starts (_bentoml_impl/server/serving.py).
        """
        return self.stage == "all" and bool(self.value)


@dataclass(frozen=True)
class Bento:
    """A Bento in the store, and what its image needs.

    Args:
        name: its name.
        version: its version, a hash of its content.
        path: its folder in the store.
        python_version: the version of Python to run it, "3.11".
        base_image: the base image that its bentofile names; empty when it names none.
        models: the models that it packs.
        envs: the environment variables to set.
        labels: its labels as pairs of name and value, sorted.
        needs_dockerfile: phrases on why it cannot be assembled from layers; empty when it can.
        fresh: whether it was just built.
        imported_models: the tags of the models that were imported into the model store for it.
        notes: sentences on what its configuration names and it does not have.
        content: a hash of what is packed, for a Bento that was built elsewhere, whose version is no hash of it.
        environment: where its service was imported just now, for a sentence; empty for the Python of this process.
        metadata: what its image says of it; None before the project's files are read for that.
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
    notes: tuple[str, ...] = ()
    content: str = ""
    environment: str = ""
    metadata: Metadata | None = field(default=None, hash=False)

    @property
    def tag(self) -> str:
        """Return NAME:VERSION."""
        return f"{self.name}:{self.version}"

    @property
    def wanted_variables(self) -> dict[str, str]:
        """Return the variables that its containers are to be given, with the values that are known, else ""."""
        known = {env.name for env in self.envs if env.is_in_image}
        return {env.name: env.value for env in self.envs if env.stage != "build" and env.name not in known}

    @classmethod
    def from_description(cls, data: Mapping[str, Any], *, fresh: bool = False, notes: tuple[str, ...] = ()) -> Bento:
        """Return the Bento of a description. Raises KeyError or TypeError when the description is invalid.

        Args:
            data: the description that `bentoship.bento.child` returns.
            fresh: whether it was just built.
            notes: as of a Bento.
        """
        return cls(
            name=data["name"],
            version=data["version"],
            path=Path(data["path"]),
            python_version=data["python_version"],
            base_image=data["base_image"],
            models=tuple(
                Model(m["name"], m["version"], Path(m["path"]), *(m[name] for name in _OF_MODEL))
                for m in data["models"]
            ),
            envs=tuple(Env(e["name"], e["value"], e["stage"]) for e in data["envs"]),
            labels=tuple(sorted(data["labels"].items())),
            needs_dockerfile=tuple(data["needs_dockerfile"]),
            fresh=fresh,
            imported_models=tuple(data["imported_models"]) if fresh else (),
            notes=(*notes, *data.get("notes", ())),
            content=data.get("content", ""),
            environment=data.get("environment", "") if fresh else "",
        )


@dataclass(frozen=True)
class BuildContext:
    """What a Bento is built from, and where builds are recorded.

    Args:
        folder: the project, which is the build context.
        records: the folder for the records of builds.
        bentoml_home: BentoML's home folder, with the stores of Bentos and models.
        platform: the platform for which packages are locked.
        secrets_allowed: patterns, as in .gitignore, of packed files that may hold what looks like a secret.
        bentofile: the file that configures the build, by the name of a pyproject.toml or as a bentofile.yaml; None for
            what BentoML finds in the folder.
        service: the service to pack, "module:Class"; empty for the one that the configuration names.
        bento: a Bento that is built already, by its tag or as an exported file; empty to build one.
        variables: the names of variables of this environment that the service may read on its import.
        arguments: the arguments of the service (bentoml.use_arguments), as pairs of name and value.
        python: which Python imports the service: "host" for the one that runs this, "own" for an environment with the
            packages of the service's own requirements, "auto" for that where the former lacks packages.
    """

    folder: Path
    records: Path
    bentoml_home: Path
    platform: str = LOCK_PLATFORM
    secrets_allowed: tuple[str, ...] = ()
    bentofile: Path | None = None
    service: str = ""
    bento: str = ""
    variables: tuple[str, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    python: Python = "auto"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BuildContext:
        """Return a context that `dataclasses.asdict` and JSON have taken apart."""
        lists = {
            "secrets_allowed": tuple(data["secrets_allowed"]),
            "variables": tuple(data["variables"]),
            "arguments": tuple((name, value) for name, value in data["arguments"]),
        }
        paths = {name: Path(data[name]) for name in ("folder", "records", "bentoml_home")}
        bentofile = Path(data["bentofile"]) if data["bentofile"] else None
        return cls(**{**data, **paths, **lists, "bentofile": bentofile})

    @property
    def scratch(self) -> Path:
        """Return the folder for temporary folders; what killed builds left there is removed by the next."""
        return self.records.absolute() / "building"

    @property
    def wheels(self) -> Path:
        """Return the folder that keeps the wheels of what is no package of an index."""
        return self.records.absolute() / "wheels"

    @property
    def environments(self) -> Path:
        """Return the folder that keeps environments with the packages of services."""
        return self.records.absolute() / "environments"

    @property
    def locks(self) -> Path:
        """Return the folder that keeps locks, and wheels that were built for them, of images as well."""
        return self.records.absolute().parent / "layers" / "locks"

    @property
    def store(self) -> Path:
        """Return BentoML's folder of Bentos, with NAME/VERSION for each."""
        return self.bentoml_home / "bentos"

    @property
    def kept(self) -> frozenset[str]:
        """Return the folders in the project that keep Bentos, models and caches, with a slash in front of each path."""
        home, root = self.bentoml_home, os.path.realpath(self.folder)
        places = (self.records, self.records.parent, home, *(home / name for name in ("bentos", "models", "bentoship")))
        real = map(os.path.realpath, places)
        return frozenset(place.removeprefix(root) for place in real if place.startswith(f"{root}/"))

    @property
    def exported_models(self) -> list[Path]:
        """Return the exported models of the project or of a parent, which are imported into stores that lack them."""
        return nearest(self.folder, "model/*.bentomodel")
