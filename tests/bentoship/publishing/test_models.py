"""Models that are pushed beside their image, to a real registry."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bentoship.assembly.backend import DirectBackend, Workplace
from bentoship.bases import Base
from bentoship.bento import Bento, Model
from bentoship.commands.terminal import Terminal
from bentoship.errors import BentoError, SettingsError
from bentoship.image.progress import SilentProgress
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.project import Published, Run, begin
from bentoship.publishing import models
from bentoship.publishing.models import push_models
from bentoship.stores.artifacts import referrers
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from tests.support.synthetic import GivenBases, laid_out


@pytest.fixture
def run(tmp_path: Path, repository: ImageReference, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose registry is a real one."""
    monkeypatch.setenv("REGISTRY", f"http://{repository.repository}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    return begin(tmp_path / "project", Terminal())


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """A Bento with two models of the same name."""
    bento = laid_out(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "weights.onnx").write_bytes(b"5678")
    return dataclasses.replace(bento, models=(*bento.models, Model("stars", "v2", tmp_path / "other")))


@pytest.fixture
def pushed(
    run: Run, bento: Bento, base: Base, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Published:
    """The Bento's image, assembled in the project's layout and pushed."""
    place = Workplace(LayerCache(cache / "layers"), run.layout, tmp_path / "scratch")
    source, refuse = GivenBases({base.platform: base}), lambda *_: ""
    backend = DirectBackend(
        place, [base.platform], lambda _: source, lambda reference: run.registry(reference, push=True), refuse
    )
    image = backend.containerize(bento)
    references = (run.provider.repository("echo").with_tag("latest"),)
    backend.tag(image, references)
    published = Published(backend.push(image, references, SilentProgress()), references)
    monkeypatch.setattr(models, "push", lambda _: published)
    monkeypatch.setattr(models, "build", lambda _: bento)
    return published


def test_each_model_has_a_tag_and_all_are_a_volume(run: Run, pushed: Published) -> None:
    """In the image's repository, of the layers that it has; twice is as once."""
    assert push_models(run) == ("one-model", "one-model-2", "one-volume")
    store = RegistryStore(pushed.reference)
    volume = json.loads(store.read("one-volume")[1])
    digests = [layer["digest"] for layer in volume["layers"]]
    for tag, version, digest in zip(("one-model", "one-model-2"), ("v1", "v2"), digests, strict=True):
        manifest = json.loads(store.read(tag)[1])
        (layer,) = manifest["layers"]
        assert layer["digest"] == digest
        assert layer["annotations"]["org.cncf.model.filepath"] == f"home/bentoml/bento/models/stars/{version}"
        assert manifest["annotations"]["org.opencontainers.image.version"] == version
    assert set(digests) <= {layer.digest for layer in pushed.pushed.layers}
    before = sorted(tags(store)), referrers(store, pushed.pushed.digest)
    assert len(before[1]) == 3
    models.push_models.__wrapped__(run)  # type: ignore[attr-defined]
    assert (sorted(tags(store)), referrers(store, pushed.pushed.digest)) == before


@pytest.mark.usefixtures("pushed")
def test_an_image_without_a_model_has_none(run: Run, bento: Bento, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so."""
    bare = dataclasses.replace(bento, models=())
    monkeypatch.setattr(models, "build", lambda _: bare)
    with pytest.raises(BentoError, match="echo:one has no model"):
        push_models(run)


def test_docker_has_no_layer_of_a_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so before anything is built."""
    settings = dataclasses.replace(run.project.settings, backend="docker")
    monkeypatch.setattr(run, "project", dataclasses.replace(run.project, settings=settings))
    with pytest.raises(SettingsError, match="BACKEND=docker"):
        push_models(run)
