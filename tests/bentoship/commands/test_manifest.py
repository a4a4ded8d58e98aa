"""The objects for a published image, which a real registry has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentoship.bento import Env
from bentoship.commands import versions
from bentoship.commands.manifest import Options, show
from bentoship.errors import BentoshipError
from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import CONFIG, INDEX, LAYER_TAR, Descriptor
from bentoship.image.layer import Layer, tar_stream
from bentoship.image.manifest import image_of, index_of
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach, push
from bentoship.stores.registry import RegistryStore
from tests.support.images import put, put_image, put_index
from tests.support.schemas import kubernetes_mistakes
from tests.support.synthetic import bento_in

ANNOTATIONS = {keys.BENTO: "echo:one", keys.VERSION: "one"}


def put_ours(store: RegistryStore, *platforms: str, annotations: Mapping[str, str] = ANNOTATIONS) -> Descriptor:
    """Write an image with a model, or the index of such."""
    tar = b"".join(tar_stream([]))
    layer = Layer(put(store, LAYER_TAR, tar), put(store, LAYER_TAR, tar).digest, "model stars:v1", "model")
    images = [image_of([layer], {}, platform, annotations) for platform in platforms]
    for image in images:
        put(store, CONFIG, image.config)
        put(store, image.descriptor.media_type, image.manifest)
    return images[0].descriptor if len(images) == 1 else put(store, INDEX, index_of(images))


@dataclass(frozen=True)
class Site:
    """A project whose images are in a registry. Args: folder: the project; store: the repository of its images."""

    folder: Path
    store: RegistryStore

    def objects(self, capsys: pytest.CaptureFixture[str], **options: Any) -> list[dict[str, Any]]:
        """What is printed, which is nothing but YAML."""
        show(self.folder, Options(**options))
        return list(yaml.safe_load_all(capsys.readouterr().out))

    def container(self, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
        """The container of the Deployment."""
        found: dict[str, Any] = self.objects(capsys, **options)[0]["spec"]["template"]["spec"]["containers"][0]
        return found


@pytest.fixture
def site(tmp_path: Path, repository: ImageReference, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A project whose Bento wants the variable TOKEN."""
    bento = dataclasses.replace(bento_in(tmp_path), envs=(Env("TOKEN", "", "all"), Env("MODE", "fast", "all")))
    monkeypatch.setattr(versions, "current_bento", lambda run, step: bento)
    monkeypatch.setenv("REGISTRY", f"http://{repository.repository}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Site(tmp_path, RegistryStore(ImageReference(repository.host, f"{repository.path}/echo"), push=True))


def test_the_projects_first_tag_is_meant(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """And its digest is printed, in objects that Kubernetes takes; the same text each time."""
    image = put_ours(site.store, "linux/arm64")
    site.store.tag(image, "latest")
    deployment, service = site.objects(capsys)
    assert [*kubernetes_mistakes(deployment), *kubernetes_mistakes(service)] == []
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"{site.store.repository}@{image.digest}"
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert deployment["metadata"]["name"] == "echo"
    assert deployment["metadata"]["labels"]["app.kubernetes.io/version"] == "one"
    assert deployment["metadata"]["annotations"] == {keys.BENTO: "echo:one"}
    show(site.folder, Options())
    once = capsys.readouterr().out
    show(site.folder, Options())
    assert capsys.readouterr().out == once


@pytest.mark.parametrize("version", ["production", "{digest}", "{repository}@{digest}", "{repository}:production"])
def test_a_version_is_named_in_any_form(version: str, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Tag, promoted name, digest, or what publish has printed."""
    image = put_image(site.store)
    site.store.tag(image, "production")
    named = version.format(digest=image.digest, repository=site.store.repository)
    found = site.container(capsys, version=named)["image"]
    assert found == f"{site.store.repository}@{image.digest}"


def test_an_index_runs_anywhere_among_its_platforms(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Its digest is the one of all."""
    index = put_ours(site.store, "linux/amd64", "linux/arm64")
    site.store.tag(index, "latest")
    deployment = site.objects(capsys)[0]
    pod = deployment["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod
    assert pod["containers"][0]["image"].endswith(index.digest)


def test_an_index_without_images_is_named(site: Site) -> None:
    """Others' may say nothing of platforms."""
    site.store.tag(put_index(site.store, put_image(site.store)), "latest")
    with pytest.raises(BentoshipError, match="no image for any platform"):
        show(site.folder, Options())


def test_annotations_of_strangers_are_texts_alone(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is in them, it is YAML that Kubernetes takes."""
    annotations = {keys.BENTO: "x: \x1b[2J\n---\nkind: Secret" * 99, keys.VERSION: "\n- é" * 99}
    image = put_ours(site.store, "linux/amd64", annotations=annotations)
    site.store.tag(image, "latest")
    made = site.objects(capsys)
    assert [one["kind"] for one in made] == ["Deployment", "Service"]
    assert [mistake for one in made for mistake in kubernetes_mistakes(one)] == []


def test_memory_is_what_was_measured(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """By what refers to the image; otherwise it is a guess, and that is said. An option wins."""
    image = put_ours(site.store, "linux/amd64")
    site.store.tag(image, "latest")
    assert site.container(capsys)["resources"]["requests"] == {"cpu": "500m", "memory": "528Mi"}
    for text in ("nonsense", "-5", "9" * 30, str(300 << 20)):
        attach(site.store, Artifact(keys.STATEMENT_TYPE, [], {keys.MEMORY: text}, image))
    assert site.container(capsys)["resources"]["requests"]["memory"] == "304Mi"
    given = site.container(capsys, memory="2Gi", cpu="2")["resources"]
    assert given == {"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}


def test_variables_are_named_without_their_values(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this machine has in them; on stderr is how to create the Secret."""
    monkeypatch.setenv("TOKEN", "planted")
    site.store.tag(put_ours(site.store, "linux/amd64"), "latest")
    show(site.folder, Options())
    printed = capsys.readouterr()
    assert "name: TOKEN" in printed.out
    assert "MODE" not in printed.out
    assert "planted" not in printed.out + printed.err
    assert "kubectl create secret generic echo-env --from-literal=TOKEN=" in printed.err
    show(site.folder, Options(knative=True))
    assert "TOKEN comes from the secret echo-token, its version or key `latest`" in capsys.readouterr().err


def test_options_make_further_objects(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which they are to be created."""
    site.store.tag(put_ours(site.store, "linux/amd64"), "latest")
    made = site.objects(capsys, hpa="2-9", ingress="echo.example.com", pull_secret="regcred")
    assert [one["kind"] for one in made] == ["Deployment", "Service", "HorizontalPodAutoscaler", "Ingress"]
    assert [mistake for one in made for mistake in kubernetes_mistakes(one)] == []
    (knative,) = site.objects(capsys, hpa="0-9", knative=True)
    assert knative["apiVersion"] == "serving.knative.dev/v1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "512m"}, "--memory: '512m' is not a quantity"),
        ({"memory": "1GB"}, "--memory"),
        ({"memory": "0Mi"}, "--memory"),
        ({"cpu": "two"}, "--cpu"),
        ({"cpu": "0"}, "--cpu"),
        ({"replicas": "-1"}, "--replicas"),
        ({"replicas": "2", "hpa": "1-2"}, "--replicas: with --hpa"),
        ({"hpa": "5-1"}, "--hpa: '5-1' is not MIN-MAX"),
        ({"hpa": "0-1"}, "--hpa"),
        ({"hpa": "3"}, "--hpa"),
        ({"ingress": "https://echo.example.com/"}, "--ingress"),
        ({"ingress": "echo.example.com", "knative": True}, "--ingress: Knative"),
        ({"pull_secret": "a b"}, "--pull-secret"),
        ({"version": "none"}, "Read none in .*manifest unknown"),
        ({"version": "sha256:1"}, "no digest of a version begins with that"),
        ({"version": "sha256:x"}, "is not a digest"),
        ({"version": "empty"}, "its index has no image for any platform"),
        ({"version": "history"}, "it is not an image but application/x"),
        ({"version": "a b"}, "is not a valid tag"),
        ({"version": "ghcr.io/acme/other:v1"}, "it is in another repository, ghcr.io/acme/other"),
    ],
    ids=str,
)
def test_what_cannot_be_is_named(
    options: dict[str, Any], message: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is printed on stdout."""
    site.store.tag(put_image(site.store), "latest")
    site.store.tag(put_index(site.store), "empty")
    push(site.store, Artifact("application/x", []), "history")
    with pytest.raises(BentoshipError, match=message):
        show(site.folder, Options(**options))
    assert capsys.readouterr().out == ""
