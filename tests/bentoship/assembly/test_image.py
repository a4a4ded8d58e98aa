"""An image from a base and a Bento."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bentoship.assembly.image import model_layer
from bentoship.bases import Base
from bentoship.bento import Bento, Env
from bentoship.errors import StoreError, UnsupportedBentoError
from bentoship.image.layer import MTIME, Entry
from bentoship.image.manifest import Image
from bentoship.image.metadata import Metadata
from bentoship.layers.cache import LayerCache
from tests.support.golden import as_document, golden
from tests.support.reporting import Told
from tests.support.synthetic import assembled, laid_out
from tests.support.wheels import make_requirements, make_wheel

HOME = "home/bentoml"
BENTO = f"{HOME}/bento"


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """A Bento with one package, one model, a module and a script."""
    return laid_out(tmp_path)


def make(bento: Bento, base: Base, tmp_path: Path) -> tuple[Image, LayerCache]:
    """Assemble with a cache and a scratch folder of the test's own; the base's blobs stay where they are."""
    cache = LayerCache(tmp_path / "cache")
    scratch = tmp_path / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    return assembled(bento, base, cache, scratch), cache


def members(image: Image, cache: LayerCache, base: Base) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """All that is put on the base: by path, the last layer winning."""
    found = {}
    for layer in image.layers[len(base.layers) :]:
        blob = cache.blob(layer.descriptor).read_bytes()
        plain = gzip.decompress(blob) if layer.descriptor.media_type.endswith("gzip") else blob
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                found[member.name] = (member, stream.read() if stream else b"")
    return found


def config_of(image: Image) -> dict[str, Any]:
    """What a container of the image runs."""
    return dict(json.loads(image.config)["config"])


def test_the_configuration_keeps_the_contract(bento: Bento, base: Base, tmp_path: Path) -> None:
    """User, environment, folder, ports and entrypoint are those of BentoML's own images; the base's command is gone."""
    base = dataclasses.replace(base, config={**base.config, "Cmd": ["python3"], "StopSignal": "SIGTERM"})
    config = config_of(make(bento, base, tmp_path)[0])
    env = dict(one.split("=", 1) for one in config["Env"])
    assert config["User"] == "bentoml"
    assert config["WorkingDir"] == "/home/bentoml/bento"
    assert config["Entrypoint"] == ["/home/bentoml/bento/env/docker/entrypoint.sh"]
    assert set(config["ExposedPorts"]) == {"3000/tcp", "3001/tcp"}
    assert "Cmd" not in config
    assert config["StopSignal"] == "SIGTERM"
    assert env["PATH"].startswith("/app/.venv/bin:/usr/local/sbin:")
    assert env["BENTOML_HOME"] == "/home/bentoml/"
    assert env["BENTO_PATH"] == "/home/bentoml/bento"
    assert env["BENTOML_CONTAINERIZED"] == "true"
    assert env["MODE"] == "fast"
    assert config["Labels"]["team"] == "sky"


def test_what_is_set_when_it_runs_is_not_in_the_image(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Variables of stage runtime; and one without a value stays unset, so that BentoML asks for it when it starts."""
    envs = (
        Env("MODE", "fast", "all"),
        Env("TOKEN", "", "all"),
        Env("PATH_TO", "/x", "runtime"),
        Env("KEY", "", "runtime"),
    )
    config = config_of(make(dataclasses.replace(bento, envs=envs), base, tmp_path)[0])
    names = {variable.partition("=")[0] for variable in config["Env"]}
    assert names & {env.name for env in envs} == {"MODE"}


def test_a_models_file_may_have_any_name(bento: Bento, base: Base, tmp_path: Path) -> None:
    """File names are bytes; they need not be UTF-8."""
    name = os.fsdecode(b"caf\xe9.bin")
    (bento.models[0].path / name).write_bytes(b"1234")
    image, cache = make(bento, base, tmp_path)
    assert members(image, cache, base)[f"{BENTO}/models/stars/v1/{name}"][1] == b"1234"


def test_links_in_a_model_are_followed(bento: Bento, base: Base, tmp_path: Path) -> None:
    """What they lead to is packed, as BentoML does; only links within the model stay."""
    model = bento.models[0].path
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    for name in ("a.bin", "deep/b.bin"):
        (tmp_path / "outside" / name).write_text(name, "utf-8")
    for name, target in {"file": "../outside/a.bin", "folder": str(tmp_path / "outside"), "own": "weights.bin"}.items():
        (model / name).symlink_to(target)
    image, cache = make(bento, base, tmp_path)
    found = {name.partition("/stars/v1/")[2]: entry for name, entry in members(image, cache, base).items()}
    assert (found["file"][1], found["folder/a.bin"][1], found["folder/deep/b.bin"][1]) == (
        b"a.bin",
        b"a.bin",
        b"deep/b.bin",
    )
    assert found["own"][0].linkname == "weights.bin"


@pytest.mark.parametrize("target", ["gone", "/nowhere/gone", "..", "loop"])
def test_a_link_in_a_model_that_cannot_be_followed_is_named(
    bento: Bento, base: Base, tmp_path: Path, target: str
) -> None:
    """One that leads nowhere, or around in a circle."""
    (bento.models[0].path / "loop").symlink_to(target)
    with pytest.raises(OSError, match=r"a link that leads to no file \(.*model/loop"):
        make(bento, base, tmp_path)


def test_a_damaged_file_of_a_model_is_not_packed(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Neither size nor time may tell, but its content does, when its layer is made."""
    whole, other = (hashlib.sha256(content).hexdigest() for content in (b"1234", b"1235"))
    model = dataclasses.replace(bento.models[0], digests={"weights.bin": other})
    with pytest.raises(StoreError, match=r"Pack the model stars:v1: .*weights\.bin: its content is damaged") as caught:
        make(dataclasses.replace(bento, models=(model,)), base, tmp_path)
    assert "bentoml models delete stars:v1" in caught.value.hint
    model = dataclasses.replace(model, digests={"weights.bin": whole})
    make(dataclasses.replace(bento, models=(model,)), base, tmp_path)


def test_layers_change_at_their_own_speeds(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Base, user, packages, model, source: in this order, each in a layer of its own."""
    image, _ = make(bento, base, tmp_path)
    titles = [layer.title for layer in image.layers[len(base.layers) :]]
    assert titles == ["user and environment", "packages", "model stars:v1", "source echo:one"]


def test_files_lie_where_they_belong(bento: Bento, base: Base, tmp_path: Path) -> None:
    """The Bento's files are its user's, packages are root's; the entrypoint can be run, the source be read by all."""
    image, cache = make(bento, base, tmp_path)
    found = members(image, cache, base)
    site = f"app/.venv/lib/python{bento.python_version}/site-packages"
    assert found[f"{BENTO}/src/service.py"][1] == b"print('hello')\n"
    assert found[f"{BENTO}/models/stars/v1/weights.bin"][1] == b"1234"
    assert found[f"{BENTO}/models/stars/latest"][1] == b"v1"
    modes = {name: (member.mode, member.uid) for name, (member, _) in found.items()}
    assert modes[f"{BENTO}/env/docker/entrypoint.sh"] == (0o755, 1034)
    assert modes[f"{BENTO}/src/run.sh"] == (0o755, 1034)
    assert modes[f"{BENTO}/src/service.py"] == (0o644, 1034)
    assert modes[f"{BENTO}/models/stars/v1"] == (0o755, 1034)
    assert modes[f"{site}/tool/__init__.py"] == (0o644, 0)
    assert modes["app/.venv/bin/run-tool"] == (0o755, 0)
    assert {found[name][0].mode for name in (HOME, f"{HOME}/tmp", f"{HOME}/bentos")} == {0o1777}
    assert found["app/.venv/bin/python"][0].linkname == f"/usr/bin/python{bento.python_version}"
    assert any(name.startswith(f"{site}/tool/__pycache__/") for name in found)
    assert found[f"{BENTO}/README.md"][1] == b"# echo:one\n"
    left_out = {"env/python/requirements.txt", "apis"}
    assert not {f"{BENTO}/{name}" for name in left_out} & set(found)
    assert {member.mtime for member, _ in found.values()} == {MTIME}


def test_every_layer_repeats_the_home_alike(bento: Bento, base: Base, tmp_path: Path) -> None:
    """A folder that more than one layer has is the same in each, or a later one would take rights away."""
    image, cache = make(bento, base, tmp_path)
    seen: dict[str, set[tuple[int, int, int]]] = {}
    for layer in image.layers[len(base.layers) :]:
        with tarfile.open(cache.blob(layer.descriptor)) as archive:
            for member in archive:
                if member.isdir():
                    seen.setdefault(member.name, set()).add((member.mode, member.uid, member.gid))
    assert {name: states for name, states in seen.items() if len(states) > 1} == {}


def test_the_user_is_known_by_name(bento: Bento, base: Base, tmp_path: Path) -> None:
    """passwd, group and their shadows keep the base's entries and have one more."""
    image, cache = make(bento, base, tmp_path)
    found = members(image, cache, base)
    passwd = found["etc/passwd"][1].decode()
    assert passwd.startswith("root:")
    assert "bentoml:x:1034:1034::/home/bentoml:/bin/bash\n" in passwd
    assert "bentoml:x:1034:\n" in found["etc/group"][1].decode()
    (shadow,) = [line for line in found["etc/shadow"][1].decode().splitlines() if line.startswith("bentoml:")]
    assert shadow.count(":") == 8
    assert found["etc/shadow"][0].mode == 0o640


def test_the_same_inputs_give_the_same_image(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Two caches, two moments, another time in bento.yaml and another address: one digest."""
    first, _ = make(bento, base, tmp_path / "one")
    (bento.path / "bento.yaml").touch()
    text = (bento.path / "bento.yaml").read_text("utf-8").replace("2026-01-01", "2027-02-03")
    (bento.path / "bento.yaml").write_text(text, "utf-8")
    requirements = bento.path / "env" / "python" / "requirements.txt"
    requirements.write_text(requirements.read_text("utf-8") + "--trusted-host mirror.invalid\n", "utf-8")
    second, _ = make(bento, base, tmp_path / "two")
    assert first.descriptor == second.descriptor


@pytest.mark.parametrize("what", ["model", "package", "env", "base"])
def test_what_changes_is_seen(bento: Bento, base: Base, tmp_path: Path, what: str) -> None:
    """Another model, package, variable or base gives another digest, and the other layers stay."""
    first, cache = make(bento, base, tmp_path)
    if what == "model":
        (bento.models[0].path / "weights.bin").write_bytes(b"12345")
    elif what == "package":
        make_wheel(tmp_path / "wheels", "tool", "2.0")
        make_requirements(bento.path, tmp_path / "wheels", "tool==2.0")
    elif what == "env":
        bento = dataclasses.replace(bento, envs=(Env("MODE", "slow", "all"),))
    else:
        extra = [cache.write([Entry("opt/x", content=b"x")], "more", "base")]
        base = dataclasses.replace(base, layers=(*base.layers, *extra))
    second, _ = make(bento, base, tmp_path)
    assert first.descriptor != second.descriptor
    kept = {layer.descriptor for layer in first.layers} & {layer.descriptor for layer in second.layers}
    assert len(kept) >= len(first.layers) - 1


def test_a_model_that_does_not_shrink_is_not_compressed(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Its layer is a plain tar, which costs no time."""
    import random

    (bento.models[0].path / "weights.bin").write_bytes(random.Random(1).randbytes(300_000))
    image, _ = make(bento, base, tmp_path)
    types = {layer.title: layer.descriptor.media_type.rpartition(".")[2] for layer in image.layers}
    assert types["model stars:v1"] == "tar"
    assert types["source echo:one"] == "tar+gzip"


@pytest.mark.parametrize(("content", "doing"), [(bytes(300_000), "compressing"), (None, "reading")])
def test_a_model_tells_how_far_it_is(bento: Bento, tmp_path: Path, content: bytes | None, doing: str) -> None:
    """Whether it is compressed or only read for its digest; what is found again tells nothing."""
    import random

    model, cache, told = bento.models[0], LayerCache(tmp_path / "cache"), Told()
    (model.path / "weights.bin").write_bytes(content or random.Random(1).randbytes(300_000))
    (layer,) = model_layer(model, cache, told)
    assert told.titles == [f"{doing} model stars:v1"]
    total = sum(file.stat().st_size for file in model.path.rglob("*") if file.is_file())
    assert told.tasks[0].total == total
    assert told.tasks[0].done >= total
    (again,) = model_layer(model, cache, told)
    assert (again.descriptor, len(told.titles)) == (layer.descriptor, 1)


def test_what_needs_a_dockerfile_is_refused_whole(bento: Bento, base: Base, tmp_path: Path) -> None:
    """All reasons at once, before anything is made."""
    bento = dataclasses.replace(bento, needs_dockerfile=("runs `make`", "the variable TOKEN of stage build"))
    with pytest.raises(UnsupportedBentoError, match=r"runs `make`; the variable TOKEN(.|\n)*BACKEND=docker"):
        make(bento, base, tmp_path)
    assert not (tmp_path / "cache").exists()


def test_the_manifest_tells_what_the_image_is(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Models with their metadata, the Bento, the packages and the base can be read without pulling a layer."""
    image, _ = make(bento, base, tmp_path)
    annotations = json.loads(image.manifest)["annotations"]
    assert json.loads(annotations["org.bentoship.models"]) == [{"tag": "stars:v1", "metadata": {"accuracy": "0.9"}}]
    assert annotations["org.bentoship.bento"] == "echo:one"
    labels = config_of(image)["Labels"]
    assert json.loads(labels["org.bentoship.packages"]) == ["tool==1.0"]
    packages = json.loads(labels["org.bentoship.base"])["debian"]["packages"]
    assert {"name", "version", "architecture", "sha256"} == set(packages[0])


def test_what_a_base_says_of_itself_is_not_said_of_the_image(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Its labels by the keys of the specification; others stay. What the Bento's labels say wins, but for the base."""
    said_of_itself = ("org.opencontainers.image.title", "org.opencontainers.image.ref.name", "org.bentoship.data")
    own = dict.fromkeys(said_of_itself, "x")
    base = dataclasses.replace(
        base,
        config={**base.config, "Labels": {**own, "maintainer": "ann"}},
        origin={"digest": "sha256:1"},
        name="a/b:1",
    )
    said = {"licenses": "MIT", "source": "https://example.com", "base.name": "c/d:2"}
    labels = tuple((f"org.opencontainers.image.{name}", text) for name, text in said.items())
    bento = dataclasses.replace(bento, labels=labels, metadata=Metadata(licenses="0BSD"))
    image, _ = make(bento, base, tmp_path)
    annotations = {name.rpartition("image.")[2]: text for name, text in image.annotations.items() if "image." in name}
    assert annotations == {
        "title": "echo",
        "version": "one",
        "licenses": "MIT",
        "source": "https://example.com",
        "base.name": "a/b:1",
        "base.digest": "sha256:1",
    }
    assert config_of(image)["Labels"].items() >= {**image.annotations, "maintainer": "ann"}.items()
    assert not {"org.opencontainers.image.ref.name", "org.bentoship.data"} & config_of(image)["Labels"].keys()


def test_the_configuration_as_a_whole(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Each setting, variable and label, and each annotation of the manifest: what changes one changes the digest."""
    image, _ = make(bento, base, tmp_path)
    annotations = json.loads(image.manifest)["annotations"]
    described = {"config": config_of(image), "annotations": annotations}
    assert as_document(described) == golden("image.json")
