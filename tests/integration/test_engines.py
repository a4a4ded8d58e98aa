"""What `invoke publish` leaves in a registry, as engines and tools of others see it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest

from bentoship.image.layer import MTIME
from celestial_bodies.sample import draw
from tests.support.cache import needs_apt
from tests.support.engines import Container, Engine, output, require
from tests.support.published import MARK, Published
from tests.support.slow import cases

pytestmark = needs_apt

BENTO = "/home/bentoml/bento"
HARDENED = ("--user", "5000:5000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.fixture(scope="session")
def container(engine: Engine, published: Published) -> Iterator[Container]:
    """The image, run without any option."""
    with engine.running(published.reference) as container:
        yield container


@pytest.fixture(scope="session")
def manifest(published: Published) -> dict[str, Any]:
    """The image's manifest."""
    return json.loads(_blob(published, published.digest))  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def config(published: Published, manifest: dict[str, Any]) -> dict[str, Any]:
    """What the image's configuration says of its containers."""
    return json.loads(_blob(published, manifest["config"]["digest"]))["config"]  # type: ignore[no-any-return]


def _blob(published: Published, digest: str) -> bytes:
    return (published.layout / "blobs" / digest.replace(":", "/")).read_bytes()


def _layers(published: Published, manifest: dict[str, Any]) -> Iterator[tarfile.TarFile]:
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(_blob(published, layer["digest"]))) as archive:
            yield archive


def assert_recognises_saturn(client: httpx.Client) -> None:
    """The service tells what the sample picture shows."""
    picture = io.BytesIO()
    draw("Saturn").save(picture, "PNG")
    response = client.post("/predict", files={"image": ("saturn.png", picture.getvalue())})
    assert response.status_code == 200
    answer = response.json()
    assert answer["prediction"] == "Saturn"
    assert len(answer["probabilities"]) == 10
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_skopeo_reads_the_image(published: Published, manifest: dict[str, Any]) -> None:
    """In the registry and in the layout it is one image, for this platform."""
    require("skopeo")
    remote = json.loads(
        output("skopeo", "inspect", "--no-creds", "--tls-verify=false", f"docker://{published.reference}")
    )
    local = json.loads(output("skopeo", "inspect", f"oci:{published.layout}:latest"))
    assert remote["Digest"] == local["Digest"] == published.digest
    assert remote["Layers"] == local["Layers"] == [layer["digest"] for layer in manifest["layers"]]
    assert (remote["Os"], remote["Architecture"]) == ("linux", "amd64")


@pytest.mark.parametrize(("kind", "document"), [("dir", "manifest.json"), ("oci", "index.json")])
def test_skopeo_copies_the_image(published: Published, tmp_path: Path, kind: str, document: str) -> None:
    """A copy out of the registry is the same image to the byte."""
    require("skopeo")
    copy = tmp_path / "copy"
    output(
        "skopeo",
        "copy",
        "--quiet",
        "--src-no-creds",
        "--src-tls-verify=false",
        f"docker://{published.reference}",
        f"{kind}:{copy}",
    )
    content = (copy / document).read_bytes()
    if kind == "oci":
        digest = json.loads(content)["manifests"][0]["digest"]
    else:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert digest == published.digest


def test_umoci_unpacks_the_image(published: Published, tmp_path: Path) -> None:
    """An unpacked image holds the Bento with its model, its packages, and a user to run as."""
    require("umoci")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    output("umoci", "unpack", *rootless, "--image", f"{published.layout}:latest", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    bento = root / BENTO.lstrip("/")
    assert "celestial_bodies_classifier" in (bento / "bento.yaml").read_text("utf-8")
    assert (bento / "src" / "celestial_bodies" / "service.py").is_file()
    assert list(bento.glob("models/celestial_bodies_classifier_model/*/model.yaml"))
    assert os.access(bento / "env" / "docker" / "entrypoint.sh", os.X_OK)
    assert list(root.glob("app/.venv/lib/python3.*/site-packages/bentoml/__init__.py"))
    assert "bentoml:x:1034:1034::/home/bentoml:" in (root / "etc" / "passwd").read_text("utf-8")


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz", "/metrics", "/docs.json", "/schema.json"])
def test_endpoints_answer(container: Container, path: str) -> None:
    """What a service of BentoML's offers besides its own paths is there."""
    assert container.client.get(path).status_code == 200


def test_a_picture_is_recognised(container: Container) -> None:
    """The model in the image runs on the packages in the image."""
    assert_recognises_saturn(container.client)


def test_it_runs_as_its_own_user(container: Container) -> None:
    """By default the service is not root, and has its folder as its working directory."""
    assert container.execute("id", "-u") == container.execute("id", "-g") == "1034"
    assert container.execute("id", "-un") == "bentoml"
    assert container.execute("pwd") == BENTO


@pytest.mark.parametrize(
    ("options", "arguments", "port"),
    cases(
        {
            "as it is": ((), (), 3000),
            "as another user": (("--user", "5000"), (), 3000),
            "without any right": (HARDENED, (), 3000),
            "on a read-only system": (("--read-only", "--tmpfs", "/tmp"), (), 3000),
            "at the port that PORT says": (("--env", "PORT=4001"), (), 4001),
            "with arguments": ((), ("serve", "--port", "4000"), 4000),
        },
        "as it is",
        "without any right",
    ),
)
def test_it_serves_and_stops(
    engine: Engine, published: Published, options: tuple[str, ...], arguments: tuple[str, ...], port: int
) -> None:
    """It serves however it is run, ends by itself when it is asked to, and has nothing to complain about."""
    with engine.running(published.reference, *options, arguments=arguments, port=port) as container:
        assert_recognises_saturn(container.client)
        assert container.client.get("/metrics").status_code == 200
        began = time.monotonic()
        assert container.stop() == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in container.logs()


def test_another_program_can_be_run(engine: Engine, published: Published) -> None:
    """A command in place of arguments finds the image's user, Python and BentoML."""
    told = engine.output(published.reference, "bash", "-c", "id -u; python -V; which bentoml")
    user, python, bentoml = told.splitlines()
    assert (user, bentoml) == ("1034", "/app/.venv/bin/bentoml")
    assert python.startswith("Python 3.11.")


def test_the_configuration_keeps_the_contract(config: dict[str, Any]) -> None:
    """Who runs images of `bentoml containerize` finds the same user, ports, paths and variables."""
    assert config["User"] == "bentoml"
    assert config["WorkingDir"] == BENTO
    assert config["Entrypoint"] == [f"{BENTO}/env/docker/entrypoint.sh"]
    assert not config.get("Cmd")
    assert set(config["ExposedPorts"]) >= {"3000/tcp", "3001/tcp"}
    env = dict(variable.split("=", 1) for variable in config["Env"])
    path = env.pop("PATH").split(":")
    assert path[0] == "/app/.venv/bin"
    assert {"/usr/bin", "/bin"} <= set(path)
    assert env == {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BENTO_PATH": BENTO,
        "BENTOML_HOME": "/home/bentoml/",
        "BENTOML_HF_CACHE_DIR": f"{BENTO}/hf-models",
        "BENTOML_CONTAINERIZED": "true",
        "VIRTUAL_ENV": "/app/.venv",
    }


def test_nothing_of_the_machine_is_in_the_image(published: Published, manifest: dict[str, Any]) -> None:
    """No secret of the project's folder, no path of this machine and no host name is in a layer or a document."""
    for descriptor in [{"digest": published.digest, "mediaType": ""}, manifest["config"], *manifest["layers"]]:
        content = _blob(published, descriptor["digest"])
        if descriptor["mediaType"].endswith("+gzip"):
            content = gzip.decompress(content)
        at = content.find(MARK.encode())
        assert at < 0, content[max(0, at - 200) : at + 200]


def test_layers_are_plain(published: Published, manifest: dict[str, Any]) -> None:
    """Each path stands there once, after its folder, of one time and a known owner, and gives nobody's rights away."""
    for layer in _layers(published, manifest):
        members = layer.getmembers()
        names = [PurePosixPath(member.name).parts for member in members]
        places = {name: place for place, name in enumerate(names)}
        assert len(places) == len(names)
        assert all(places[name[:-1]] < place for name, place in places.items() if len(name) > 1)
        assert {member.mtime for member in members} == {MTIME}
        assert {member.uid for member in members} <= {0, 1034}
        # 42 is the group that may read the shadow files.
        assert {member.gid for member in members if "shadow" not in member.name} <= {0, 1034}
        assert {member.gid for member in members if "shadow" in member.name} <= {0, 42}
        assert {member.uname + member.gname for member in members} == {""}
        assert not [member.name for member in members if member.mode & 0o6000]
