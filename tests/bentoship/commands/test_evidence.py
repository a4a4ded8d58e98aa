"""Printing what is attached to an image, in the real distribution registry."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bentoship.commands.evidence import show_provenance, show_sbom
from bentoship.commands.terminal import Terminal
from bentoship.errors import StoreError
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.document import to_json
from bentoship.image.keys import PREDICATE, PROVENANCE, SBOM_TYPE, STATEMENT_TYPE
from bentoship.image.platforms import platform_fields, platform_of
from bentoship.image.reference import ImageReference
from bentoship.project import Project, Run
from bentoship.settings import load
from bentoship.stores.artifacts import attach
from bentoship.stores.registry import RegistryStore
from tests.support.images import put, put_image, put_index


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """The repository of a project."""
    return RegistryStore(repository, push=True)


@pytest.fixture
def run(tmp_path: Path, repository: ImageReference) -> Iterator[Run]:
    """A run of the project, whose image's name is set."""
    path, _, name = repository.path.rpartition("/")
    settings = {"HOME": str(tmp_path), "REGISTRY": f"http://{repository.host}/{path}", "IMAGE_NAME": name}
    with closing(Run(Project(tmp_path, load(tmp_path, settings)), Terminal())) as run:
        yield run


def attach_sbom(store: RegistryStore, image: Descriptor, name: str) -> None:
    """Attach an SBOM that only has a name."""
    attach(store, Artifact(SBOM_TYPE, [Blob(SBOM_TYPE, to_json({"name": name}))], subject=image))


def test_an_sbom_is_printed(run: Run, store: RegistryStore, capsys: pytest.CaptureFixture[str]) -> None:
    """By digest, by tag and by the whole reference; what a terminal would obey is escaped."""
    image = put_image(store)
    store.tag(image, "latest")
    attach_sbom(store, image, "a\x1b[2Jb")
    for name in (image.digest, "latest", f"{store.repository}@{image.digest}"):
        show_sbom(run, name)
        printed = capsys.readouterr().out
        assert json.loads(printed) == {"name": "a\x1b[2Jb"}
        assert "\x1b" not in printed


def test_of_an_index_the_image_for_this_machine_counts(
    run: Run, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are named, with their digests."""
    here = platform_of(platform.machine()) or "linux/amd64"
    other = "linux/arm64" if here == "linux/amd64" else "linux/amd64"
    images = {other: put_image(store, seed=1), here: put_image(store, seed=2)}
    listed = [{**image.to_dict(), "platform": platform_fields(name)} for name, image in images.items()]
    index = put(store, INDEX, to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}))
    for name, image in images.items():
        attach_sbom(store, image, name)
    show_sbom(run, index.digest)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"name": here}
    assert f"{other} {images[other].digest}" in printed.err


def test_an_image_of_an_index_has_its_provenance(
    run: Run, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """One with a tag, as the provenance is attached to that alone."""
    image = put_image(store)
    index = put_index(store, image)
    annotations = {PREDICATE: PROVENANCE}
    attach(store, Artifact(STATEMENT_TYPE, [Blob(STATEMENT_TYPE, to_json({"of": "index"}))], annotations, index))
    store.tag(put_image(store, seed=1), "other")
    with pytest.raises(StoreError, match=f"Read the provenance of {image.digest}: none is attached"):
        show_provenance(run, image.digest)
    store.tag(index, "v1")
    capsys.readouterr()
    show_provenance(run, image.digest)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"of": "index"}
    assert f"{image.digest} is a part of {index.digest}" in printed.err


def test_what_is_not_attached_is_an_error(run: Run, store: RegistryStore) -> None:
    """It names the image."""
    image = put_image(store)
    with pytest.raises(StoreError, match=f"Read the provenance of {image.digest}: none is attached"):
        show_provenance(run, image.digest)


@pytest.mark.parametrize("show", [show_sbom, show_provenance])
def test_what_is_missing_is_attached_by_the_next_publish(
    run: Run, store: RegistryStore, repository: ImageReference, show: Callable[[Run, str], None]
) -> None:
    """As the error says: that it was attached from here once counts no more."""
    image = put_image(store)
    published = repository.with_digest(image.digest)
    run.history.keep_attested(published, "mark")
    with pytest.raises(StoreError, match="none is attached"):
        show(run, image.digest)
    assert run.history.attested(published) == ""
