"""Models beside their image, in a real registry, read by the rules of others' tools."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bentoship.errors import RegistryError
from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import LAYER_GZIP, LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.layer import Entry, Layer, tar_stream
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import referrers
from bentoship.stores.graph import read_image, read_manifest
from bentoship.stores.registry import RegistryStore
from bentoship.versions.models import PackedModel, model_artifact, model_volume, own_size, put
from tests.support.engines import output, require
from tests.support.images import noise, put_image
from tests.support.images import put as put_content
from tests.support.schemas import mistakes, schema
from tests.support.versions import detach

PATH = "home/bentoml/bento/models/stars/v1"
FILES = {f"{PATH}/model.onnx": noise(5000, 1), f"{PATH}/labels.json": b"[]"}


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """A repository."""
    return RegistryStore(repository, push=True)


def packed(store: RegistryStore, media_type: str = LAYER_TAR) -> PackedModel:
    """A model whose layer a store has."""
    tar = b"".join(tar_stream([Entry(path, content=content) for path, content in FILES.items()]))
    blob = gzip.compress(tar, mtime=0) if media_type == LAYER_GZIP else tar
    diff_id = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    layer = Layer(put_content(store, media_type, blob), diff_id, "model stars:v1", "model")
    files = [Path(path).name for path in FILES]
    return PackedModel("stars", "v1", layer, PATH, files, {"accuracy": 0.9, "precision": "float32", "family": ""})


def pulled_by_modctl(store: RegistryStore, tag: str, folder: Path) -> dict[str, Any]:
    """Pull and extract an artifact as modctl does, and return its configuration.

    By pkg/backend/pull.go, extract.go, pkg/codec/codec.go and pkg/archiver/archiver.go of modelpack/modctl.
    """
    _, content = store.read(tag)
    manifest = json.loads(content)
    for layer in manifest["layers"]:
        with store.open(Descriptor.from_dict(layer)) as stream:
            blob = stream.read()
        if layer["mediaType"].endswith(".tar"):
            untar(blob, folder)
        else:
            # modctl extracts nothing that is compressed; the specification has it.
            assert layer["mediaType"] == "application/vnd.cncf.model.weight.v1.tar+gzip"
            untar(gzip.decompress(blob), folder)
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    with store.open(Descriptor.from_dict(manifest["config"])) as stream:
        config: dict[str, Any] = json.loads(stream.read())
    return config


def untar(content: bytes, folder: Path) -> None:
    """Unpack a tar as modctl does: no path that leads out, folders and files alone, with their modes and times."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            assert ".." not in member.name
            assert not member.name.startswith("/")
            assert member.isdir() or member.isreg()
            archive.extract(member, folder, filter="data")


@pytest.mark.parametrize("media_type", [LAYER_TAR, LAYER_GZIP])
def test_a_model_is_read_by_modctl(media_type: str, store: RegistryStore, tmp_path: Path) -> None:
    """All its files, and a configuration that is right by ModelPack's schema."""
    model = packed(store, media_type)
    artifact = model_artifact(model, put_image(store))
    put(store, artifact, "v1-model")
    config = pulled_by_modctl(store, "v1-model", tmp_path)
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == FILES
    assert mistakes(config, schema("modelpack")) == []
    assert config["descriptor"] == {"name": "stars", "version": "v1"}
    assert config["config"] == {"format": "onnx", "precision": "float32"}
    assert config["modelfs"] == {"type": "layers", "diffIds": [model.layer.diff_id]}


def test_a_manifest_says_what_modelpack_asks_for(store: RegistryStore) -> None:
    """The types of manifest and configuration, and the path of each layer (docs/spec.md, docs/annotations.md)."""
    image = put_image(store)
    manifest = json.loads(model_artifact(packed(store), image).manifest)
    assert manifest["mediaType"] == MANIFEST
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    (layer,) = manifest["layers"]
    assert layer["annotations"]["org.cncf.model.filepath"] == PATH
    assert manifest["subject"]["digest"] == image.digest


@pytest.mark.parametrize(("media_type", "name"), [(LAYER_TAR, "stars-v1.tar"), (LAYER_GZIP, "stars-v1.tar.gz")])
def test_a_models_archive_has_a_file_name(media_type: str, name: str, store: RegistryStore) -> None:
    """`oras pull` gets only what has one."""
    (layer,) = json.loads(model_artifact(packed(store, media_type), put_image(store)).manifest)["layers"]
    assert layer["annotations"]["org.opencontainers.image.title"] == name


@pytest.mark.parametrize(
    ("files", "expected"),
    [(["a.gguf", "README.md"], "gguf"), (["a.ONNX"], "onnx"), (["a.pt", "b.onnx"], None), ([], None), (["a"], None)],
)
def test_the_format_is_what_the_names_say(files: list[str], expected: str | None, store: RegistryStore) -> None:
    """If they all say the same; BentoML's metadata wins."""

    def found(metadata: dict[str, object]) -> object:
        model = replace(packed(store), files=files, metadata=metadata)
        config = json.loads(model_artifact(model, put_image(store)).config.content)
        return config["config"].get("format")

    assert found({}) == expected
    assert found({"format": "own"}) == "own"


def volume_of(store: RegistryStore) -> Artifact:
    """The volume of a model whose image a store has."""
    artifact = model_volume([packed(store, LAYER_GZIP)], "linux/arm64", put_image(store))
    put(store, artifact, "v1-volume")
    return artifact


def test_a_volume_is_an_image(store: RegistryStore) -> None:
    """Whose layers are the models' own."""
    artifact = volume_of(store)
    image = read_image(store, artifact.descriptor)
    assert [layer.descriptor for layer in image.layers] == [packed(store, LAYER_GZIP).layer.descriptor]
    assert image.platform == "linux/arm64"
    assert image.settings == {}
    assert "artifactType" not in json.loads(artifact.manifest)


@pytest.mark.slow
def test_skopeo_reads_both(store: RegistryStore, tmp_path: Path) -> None:
    """It copies the model as an artifact, and inspects and copies the volume as an image."""
    require("skopeo")
    artifact = volume_of(store)
    put(store, model_artifact(packed(store), put_image(store)), "v1-model")
    source = f"docker://{store.repository}"
    inspected = json.loads(output("skopeo", "inspect", "--tls-verify=false", f"{source}:v1-volume"))
    assert inspected["Digest"] == artifact.descriptor.digest
    assert inspected["Layers"] == [artifact.linked[0].descriptor.digest]
    for tag in ("v1-volume", "v1-model"):
        output("skopeo", "copy", "-q", "--src-tls-verify=false", f"{source}:{tag}", f"oci:{tmp_path}/{tag}:it")
        copied = json.loads((tmp_path / tag / "index.json").read_text("utf-8"))["manifests"]
        assert copied[0]["digest"] == store.resolve(tag).digest


def test_a_few_kilobytes_are_enough(store: RegistryStore) -> None:
    """No layer is sent again, and what is there already is not changed."""
    image, model = put_image(store), packed(store)
    made = {"v1-model": model_artifact(model, image), "v1-volume": model_volume([model], "linux/amd64", image)}
    for tag, artifact in made.items():
        assert own_size(artifact) < 2000
        put(store, artifact, tag)
        put(store, artifact, tag)
        assert read_manifest(store, store.resolve(tag)) == artifact.manifest


def test_they_are_found_and_deleted_with_the_image(store: RegistryStore) -> None:
    """As what refers to it, each by its type."""
    image, model = put_image(store), packed(store)
    put(store, model_artifact(model, image), "v1-model")
    put(store, model_volume([model], "linux/amd64", image), "v1-volume")
    found = referrers(store, image.digest)
    assert {one.artifact_type for one in found} == {keys.MODEL_TYPE, "application/vnd.oci.image.config.v1+json"}
    assert [one.annotations[keys.VERSION] for one in referrers(store, image.digest, keys.MODEL_TYPE)] == ["v1"]
    detach(store, image.digest, found)
    assert referrers(store, image.digest) == []
    for tag in ("v1-model", "v1-volume"):
        with pytest.raises(RegistryError, match="manifest unknown"):
            store.resolve(tag)
