"""How a run makes images: from layers, or with Docker."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from bentoship.assembly.backend import DirectBackend, Workplace
from bentoship.assembly.config import annotations_for
from bentoship.backend import Backend
from bentoship.bento import Bento
from bentoship.image.descriptor import Descriptor
from bentoship.project import Run, once
from bentoship.publishing.base import base_source
from bentoship.stores import Store
from bentoship.stores.graph import read_image

if TYPE_CHECKING:
    from bentoship.assembly.plan import PlannedImage, Unplanned
    from bentoship.docker.backend import DockerBackend
    from bentoship.docker.connection import Engine


@once
def backend(run: Run) -> Backend:
    """Return how images are made."""
    return _docker_backend(run) if run.project.settings.backend == "docker" else _direct_backend(run)


def planned_images(run: Run, bento: Bento) -> dict[str, PlannedImage] | Unplanned:
    """Return the images that publish would make, by platform."""
    from bentoship.assembly.plan import Unplanned  # not needed for publishing

    if run.project.settings.backend == "docker":
        return Unplanned(_docker_backend(run).outlook(bento))
    return _direct_backend(run).plan(bento)


def _direct_backend(run: Run) -> DirectBackend:
    settings = run.project.settings
    run.use_cache()
    return DirectBackend(
        Workplace(run.layers, run.layout, settings.scratch),
        settings.platforms,
        source=functools.partial(base_source, run),
        registry=functools.partial(run.registry, push=True),
        engine=functools.partial(_load_into_engine, run),
        holders=run.history.paths_by_blob,
        reporter=run.reporter_of("containerize"),
    )


def _docker_backend(run: Run) -> DockerBackend:
    from bentoship.docker.backend import DockerBackend
    from bentoship.docker.build import BuildOptions

    settings = run.project.settings
    logs, tell = settings.cache / "logs", functools.partial(run.reporter.say, "containerize")
    return DockerBackend(
        functools.partial(_engine, run),
        run.project.local_name,
        BuildOptions(settings.bentoml_home, settings.platforms[0], settings.scratch, logs, tell),
        registry=functools.partial(run.registry, push=True),
        credentials=run.provider.credentials,
        labels=annotations_for,
    )


@once
def _engine(run: Run) -> Engine:
    """Return Docker's engine. Raises EngineError."""
    from bentoship.docker.connection import connect

    return connect()


def _load_into_engine(run: Run, store: Store, image: Descriptor, name: str) -> str:
    from bentoship.docker.load import ImageArchive, for_engine, load_image

    engine = _engine(run)
    found = read_image(store, for_engine(engine, store, image, name))
    with run.reporter.transfer("load", {layer.descriptor.digest: layer.title for layer in found.layers}) as progress:
        return load_image(engine, ImageArchive(store, found, name), progress)
