"""What a published image says of itself, read from the registry as anyone can, without a layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bentoship.image import keys
from bentoship.image.metadata import Metadata
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import referrers
from bentoship.stores.graph import read_image
from bentoship.stores.registry import RegistryStore
from tests.support.cache import needs_apt
from tests.support.site import Site, echo_site

pytestmark = [needs_apt, pytest.mark.slow]


def published(site: Site) -> ImageReference:
    """The reference of the image, which is made."""
    done = site.invoke("publish")
    assert done.returncode == 0, done.stderr
    return ImageReference.parse(done.stdout.strip())


def test_an_image_says_what_its_project_does(tmp_path: Path, cache: Path) -> None:
    """In annotations and labels; the same files make the same image, others another one without another Bento."""
    site = echo_site(tmp_path, cache)
    plain = published(site)
    metrics = site.folder / "metrics.json"
    metrics.write_text('{"accuracy": 0.97, "loss": NaN}', "utf-8")
    (site.folder / "params.yaml").write_text("train: {lr: 1e-3}\n", "utf-8")
    rated = published(site)
    store = RegistryStore(rated)
    image = read_image(store, store.resolve(rated.digest or ""))
    said = Metadata.parse(image.annotations)
    assert (said.metrics, said.parameters) == ({"accuracy": 0.97}, {"train.lr": 0.001})
    assert Metadata.parse(image.settings["Labels"]) == said
    before = read_image(store, store.resolve(plain.digest or ""))
    assert [layer.descriptor for layer in image.layers] == [layer.descriptor for layer in before.layers]
    assert said.version == before.annotations[keys.VERSION]
    metrics.write_text('{"accuracy": 0.98}', "utf-8")
    planned = site.invoke("plan", "--why", "--json")
    (why,) = json.loads(planned.stdout)["why"]["differences"]
    assert [change["name"] for change in why["changes"]] == ["metric accuracy"]
    for name in ("metrics.json", "params.yaml"):
        (site.folder / name).unlink()
    assert published(site) == plain


def test_what_is_too_large_is_attached(tmp_path: Path, cache: Path) -> None:
    """Found as an artifact of the image and by its digest, once however often the image is published."""
    site = echo_site(tmp_path, cache)
    many: dict[str, Any] = {f"layer{number:05}.weight": number / 7 for number in range(3000)}
    (site.folder / "metrics.json").write_text(json.dumps(many), "utf-8")
    image = published(site)
    assert published(site) == image
    store = RegistryStore(image)
    (attached,) = referrers(store, image.digest or "", keys.METADATA_TYPE)
    (blob,) = json.loads(store.read(attached.descriptor.digest)[1])["layers"]
    annotations = json.loads(store.read(image.digest or "")[1])["annotations"]
    assert annotations[keys.METADATA] == blob["digest"]
    document = json.dumps({keys.METRICS: many}, sort_keys=True, separators=(",", ":")).encode()
    assert Metadata.parse(annotations, document).metrics == many
    assert blob["size"] == len(document)


def test_a_secret_is_not_published(tmp_path: Path, cache: Path) -> None:
    """Nor is anything else."""
    site = echo_site(tmp_path, cache)
    (site.folder / "params.yaml").write_text("tracker: {api_key: correct-horse}\n", "utf-8")
    done = site.invoke("publish")
    assert (done.returncode, done.stdout) == (1, "")
    assert "params.yaml: the value tracker.api_key" in done.stderr
    assert "correct-horse" not in done.stderr
