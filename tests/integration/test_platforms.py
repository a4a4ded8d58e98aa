"""Images for several platforms, published by the tasks."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bentoship.bases.interpreter import host_platform
from bentoship.docker.connection import connect
from bentoship.docker.load import for_engine
from bentoship.errors import EngineError
from bentoship.image.descriptor import INDEX, MANIFEST, Descriptor
from bentoship.image.platforms import manifests_by_platform
from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.verify.container import System
from bentoship.verify.runner import RemoteImage
from bentoship.verify.unpacked import unpacked
from tests.support import emulation
from tests.support.cache import needs_apt
from tests.support.elf import AMD64, ARM64, machine_of
from tests.support.engines import docker, output, require
from tests.support.images import put, put_image
from tests.support.site import Site, echo_site
from tests.support.wheels import make_source, make_wheel

pytestmark = needs_apt

BOTH = "linux/amd64,linux/arm64"
MACHINES = {"linux/amd64": AMD64, "linux/arm64": ARM64}


@dataclass(frozen=True)
class Both:
    """An index with images for two platforms, published.

    Args:
        site: the project.
        reference: what was printed.
        told: what was told meanwhile.
    """

    site: Site
    reference: str
    told: str

    @property
    def layout(self) -> LayoutStore:
        """What it was sent from."""
        return LayoutStore(self.site.folder / ".bentoship" / "image")

    @property
    def index(self) -> bytes:
        """The index, as it was sent."""
        return self.read(self.layout.resolve(self.reference.partition("@")[2]))

    @property
    def images(self) -> dict[str, Descriptor]:
        """The images' manifests."""
        return manifests_by_platform(self.index)

    def read(self, descriptor: Descriptor) -> bytes:
        """A content of the layout."""
        return self.layout.path(descriptor).read_bytes()

    def manifest(self, platform: str) -> dict[str, Any]:
        """An image's manifest."""
        return dict(json.loads(self.read(self.images[platform])))

    def files(self, platform: str) -> Iterator[tuple[str, bytes]]:
        """Every file of an image."""
        for layer in self.manifest(platform)["layers"]:
            with tarfile.open(self.layout.path(Descriptor.from_dict(layer))) as archive:
                for member in archive:
                    if stream := archive.extractfile(member) if member.isreg() else None:
                        yield member.name, stream.read()


@pytest.fixture(scope="module")
def both(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The echoing service for two platforms."""
    site = echo_site(tmp_path_factory.mktemp("both"), cache, PLATFORMS=BOTH)
    done = site.invoke("publish")
    assert done.returncode == 0, done.stderr
    return Both(site, done.stdout.strip(), done.stderr)


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    """A project of a user who has published nothing yet, and whose tags are not those of the index."""
    return echo_site(tmp_path, cache, IMAGE_NAME="echo-other")


@pytest.fixture
def arm64(both: Both, tmp_path: Path) -> Iterator[System]:
    """The files of the image for arm64."""
    root = both.images["linux/arm64"]
    reference = ImageReference.parse(f"localhost:1/echo@{root.digest}")
    with unpacked(RemoteImage(reference, root, both.layout, True, None, tmp_path)) as system:
        yield system


def test_the_tags_stand_for_the_index(both: Both) -> None:
    """The digest that is printed is the index's, which the registry has under each tag as it was made."""
    require("skopeo")
    name, _, digest = both.reference.partition("@")
    assert f"sha256:{hashlib.sha256(both.index).hexdigest()}" == digest
    document = json.loads(both.index)
    assert document["mediaType"] == INDEX
    described = [entry["platform"] for entry in document["manifests"]]
    assert described == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    tags = re.findall(r"^push +(\S+:\S+)$", both.told, re.MULTILINE)
    assert len(tags) == 2
    for tag in (*tags, f"{name}@{digest}"):
        raw = output("skopeo", "inspect", "--raw", "--no-creds", "--tls-verify=false", f"docker://{tag}")
        assert raw == both.index.decode()


@pytest.mark.parametrize("platform", MACHINES)
def test_skopeo_copies_each_image(both: Both, tmp_path: Path, platform: str) -> None:
    """By its platform's name, and the same to the byte."""
    require("skopeo")
    system, architecture = platform.split("/")
    chosen = ["--override-os", system, "--override-arch", architecture]
    copy = ["copy", "--quiet", "--src-no-creds", "--src-tls-verify=false", f"docker://{both.reference}"]
    output("skopeo", *chosen, *copy, f"dir:{tmp_path / 'copy'}")
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == both.read(both.images[platform])
    config = json.loads(both.read(Descriptor.from_dict(both.manifest(platform)["config"])))
    assert (config["os"], config["architecture"]) == (system, architecture)


def test_skopeo_copies_them_all(both: Both, tmp_path: Path) -> None:
    """Nothing that the index names is missing."""
    require("skopeo")
    copy = ["copy", "--all", "--quiet", "--src-no-creds", "--src-tls-verify=false", f"docker://{both.reference}"]
    output("skopeo", *copy, f"oci:{tmp_path / 'copy'}")
    for descriptor in both.images.values():
        assert (tmp_path / "copy" / "blobs" / "sha256" / descriptor.hex).is_file()


@pytest.mark.parametrize("platform", MACHINES)
def test_every_program_is_for_the_platform(both: Both, platform: str) -> None:
    """Programs, libraries and Python's modules, of the base and of packages; nothing of another machine."""
    machines = {name: machine for name, data in both.files(platform) if (machine := machine_of(data)) is not None}
    assert {name: machine for name, machine in machines.items() if machine != MACHINES[platform]} == {}
    assert any(name.startswith("usr/bin/python3") for name in machines)
    assert sum("site-packages" in name for name in machines) > 20


def test_byte_code_does_not_tell_where_it_was_made(both: Both) -> None:
    """The same source has the same byte-code in both images, though one was compiled by another machine's Python."""
    amd, arm = (dict(both.files(platform)) for platform in MACHINES)
    compiled = [name for name in amd if name.endswith(".pyc") and name in arm]
    same = [name for name in compiled if amd[source(name)] == arm.get(source(name))]
    assert len(same) > 3000
    assert [name for name in same if amd[name] != arm[name]] == []
    # What configure found out about a machine is a module that is called after it.
    own = {name for name in {*amd} ^ {*arm} if name.endswith(".pyc")}
    assert all("/_sysconfigdata__" in name for name in own), own


def source(compiled: str) -> str:
    """The module that byte-code was made of."""
    folder, _, name = compiled.rpartition("__pycache__/")
    return f"{folder}{name.partition('.cpython-')[0]}.py"


def test_what_does_not_depend_on_the_platform_is_shared(both: Both) -> None:
    """Source and user are in one layer for both, which the table shows once."""
    amd, arm = ({layer["digest"] for layer in both.manifest(platform)["layers"]} for platform in MACHINES)
    rows = re.findall(r"^ +[\d.]+ k?M?B +sent +(.+)$", both.told, re.MULTILINE)
    assert len(rows) == len(amd | arm)
    shared = [row for row in rows if " for linux/" not in row]
    assert len(shared) == len(amd & arm)
    assert {"user and environment", "source"} <= {re.sub(r" echo:.*", "", row) for row in shared}
    assert sum(row.endswith(" for linux/arm64") for row in rows) == len(arm - amd)


def test_one_platform_alone_gives_the_same_image(both: Both, site: Site) -> None:
    """Without an index then; nor does it matter which platform is named first."""
    alone = site.invoke("publish", PLATFORMS="linux/arm64")
    assert alone.returncode == 0, alone.stderr
    digest = alone.stdout.strip().partition("@")[2]
    assert digest == both.images["linux/arm64"].digest
    assert LayoutStore(site.folder / ".bentoship" / "image").resolve(digest).media_type == MANIFEST
    turned = site.invoke("publish", PLATFORMS="linux/arm64, linux/amd64")
    assert turned.stdout.strip().partition("@")[2] == both.reference.partition("@")[2]


def test_the_plan_tells_each_platform(both: Both) -> None:
    """After publishing, what is there, as it was sent."""
    planned = both.site.invoke("plan").stdout
    rows = re.findall(r"^ +([\d.]+ k?M?B) +present +(.+)$", planned, re.MULTILINE)
    assert rows == re.findall(r"^ +([\d.]+ k?M?B) +sent +(.+)$", both.told, re.MULTILINE)
    assert re.search(r"push +0 B to send", planned)


@pytest.mark.slow  # tests of the locks name them
@pytest.mark.usefixtures("both")  # which has made the base and the other packages
def test_every_package_without_a_wheel_is_named(site: Site, tmp_path: Path) -> None:
    """With its platform, all in one message, before anything is built."""
    wheels = tmp_path / "wheels"
    for name in ("intel_alone", "intel_too"):
        make_wheel(wheels, name, tag="cp311-cp311-manylinux_2_28_x86_64")
        make_source(wheels, name)
    (site.folder / "more.txt").write_text(f"--find-links {wheels}\nintel-alone==1.0\nintel-too==1.0\n", "utf-8")
    done = site.invoke("containerize", PLATFORMS=BOTH)
    assert done.returncode == 1
    assert "no wheel for linux/arm64 of intel-alone==1.0, intel-too==1.0\n" in done.stderr
    under_way = re.findall(r"^containerize +(.+)$", done.stderr, re.MULTILINE)
    # Downloads begin during the check, and so does a base in the background.
    before = r"locking packages|checking that every package has a wheel|(looking up|downloading|assembling a base) .+"
    assert [line for line in under_way if not re.fullmatch(f"({before})( took .+)?", line)] == []
    assert site.invoke("build").returncode == 0


def test_docker_makes_an_image_for_one(site: Site) -> None:
    """Several are refused at once."""
    done = site.invoke("publish", PLATFORMS=BOTH, BACKEND="docker")
    assert (done.returncode, done.stdout) == (1, "")
    assert "BACKEND=docker makes an image for one" in done.stderr


def test_verify_tries_this_machines_image(both: Both) -> None:
    """It says which that is; the reference that it prints is the index's."""
    done = both.site.invoke("verify")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == both.reference
    assert f"{both.images[host_platform()].digest} is its image for this machine" in done.stderr


def test_the_index_is_a_version_of_the_model(both: Both) -> None:
    """It is listed as one, proven for each of its images, verified and promoted; a result says which one was tried."""
    site, digest = both.site, both.reference.partition("@")[2]
    assert site.invoke("verify").returncode == 0
    promoted = site.invoke("promote", "latest", "production", "--if-verified", "--yes")
    assert (promoted.returncode, promoted.stdout.strip()) == (0, both.reference), promoted.stderr
    (version,) = json.loads(site.invoke("versions", "--json").stdout)["versions"]
    assert (version["digest"], version["platforms"]) == (digest, [*MACHINES])
    assert (version["verified"], version["promoted"]) == (True, ["production"])
    assert version["size"] == sum(layer["size"] for layer in version["layers"])
    for platform, image in both.images.items():
        provenance = json.loads(site.invoke("versions", "--provenance", image.digest).stdout)
        assert image.hex in {one["digest"]["sha256"] for one in provenance["subject"]}
        sbom = json.loads(site.invoke("versions", "--sbom", image.digest).stdout)
        assert f"arch={platform.partition('/')[2]}" in sbom["metadata"]["component"]["purl"]
    alone = both.images["linux/arm64"].digest
    layers = json.loads(site.invoke("compare", "--old", alone, "--new", digest, "--json").stdout)["layers"]
    assert layers["shared"] == len(both.manifest("linux/arm64")["layers"])


@pytest.mark.slow  # the test before takes the right one
def test_verify_does_not_judge_another_machines_image(both: Both, site: Site) -> None:
    """Where there is none for this machine it says so, with an exit code of its own."""
    [other] = {*both.images} - {host_platform()}
    assert site.invoke("publish", PLATFORMS=other).returncode == 0
    done = site.invoke("verify", PLATFORMS=other)
    assert done.returncode == 3, done.stderr
    assert f"it is for {other}, and this machine runs {host_platform()}" in done.stderr


def test_the_engine_gets_its_own_platforms_image(both: Both, tmp_path: Path) -> None:
    """`containerize --load` takes the one that the engine runs."""
    require("docker")
    engine = docker(tmp_path)
    reached = {name: value for name, value in engine.env.items() if name.startswith("DOCKER_")}
    done = both.site.invoke("containerize", "--load", IMAGE_NAME="tests/echo-platforms", **reached)
    assert done.returncode == 0, done.stderr
    try:
        told = engine("image", "inspect", "--format", "{{.Architecture}}", "tests/echo-platforms:latest")
        assert told.strip() == engine("version", "--format", "{{.Server.Arch}}").strip()
    finally:
        engine("rmi", "--force", "tests/echo-platforms:latest")


def test_an_engine_is_given_no_other_machines_image(tmp_path: Path) -> None:
    """Which platform is missing is told."""
    require("docker")
    engine = connect()
    store = LayoutStore(tmp_path)
    listed = {**put_image(store).to_dict(), "platform": {"os": "linux", "architecture": "vax"}}
    index = put(store, INDEX, json.dumps({"manifests": [listed]}).encode())
    with pytest.raises(EngineError, match=f"for linux/vax, and the engine runs {engine.platform}\n"):
        for_engine(engine, store, index, "echo:latest")


_LOADS = """\
import platform, bentoml, numpy, pydantic_core
service = bentoml.load("/home/bentoml/bento")
print(platform.machine(), service.inner().echo("hello"))
"""


@pytest.mark.slow  # the next one needs that, too
def test_the_service_loads_on_arm64(arm64: System) -> None:
    """Python and the packages' programs run there."""
    assert emulation.run_python(arm64, _LOADS).splitlines()[-1] == "aarch64 hello"


def test_the_image_serves_on_arm64(arm64: System) -> None:
    """Begun by its entrypoint, it answers."""
    if why := emulation.obstacle():
        pytest.skip(why)
    with emulation.served(arm64) as (address, running):
        wait(address, running)
        request = urllib.request.Request(
            f"{address}/echo", json.dumps({"text": "hello"}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.read() == b"hello"


def wait(address: str, running: subprocess.Popen[str]) -> None:
    """Until the service is ready."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert running.poll() is None, running.communicate()[0]
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("it is not ready")
