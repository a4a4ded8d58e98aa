"""Images that are run without an engine, and what a hostile one leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bentoship.bases import Base
from bentoship.errors import VerifyError
from bentoship.image.descriptor import CONFIG, LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.layer import symlink, tar_stream
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.stores.layout import LayoutStore
from bentoship.verify.proof import Proof, verify
from bentoship.verify.runner import RemoteImage, Runner
from bentoship.verify.sample import Sample
from bentoship.verify.sandboxes import BubblewrapRunner, ChrootRunner, NamespaceRunner
from tests.support.cache import needs_apt, of_run
from tests.support.engines import require
from tests.support.images import put
from tests.support.slow import cases

pytestmark = needs_apt

_SERVICE = """
import http.server, json, os, signal

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"user": [os.getuid(), os.getgid()], "home": os.environ["HOME"]}).encode())

os.makedirs("/tmp/closed/within")
os.symlink(OUTSIDE, "/tmp/closed/link")
os.symlink(OUTSIDE, "/tmp/closed/within/link")
for path in ("/dev/shm", "/tmp"):
    open(path + "/new", "w").close()
os.chmod("/tmp/closed/within", 0)
os.chmod("/tmp/closed", 0)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Service).serve_forever()
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of this machine, which an image has no business with."""
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("planted")
    return folder


@pytest.fixture
def layers(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> LayerCache:
    """The cache with the layers of the system."""
    return LayerCache(of_run(tmp_path_factory, worker_id) / "layers")


@pytest.fixture
def image(debian: Base, outside: Path, tmp_path: Path, layers: LayerCache) -> RemoteImage:
    """A whole system with a service, and with links to this machine where a container has files of its own."""
    store = LayoutStore(tmp_path / "store")
    for layer in debian.layers:
        store.adopt(layers.blob(layer.descriptor), layer.descriptor)
    links = {"dev/shm": outside, "tmp": outside, "etc/hosts": outside / "file"}
    own = put(store, LAYER_TAR, b"".join(tar_stream(symlink(path, str(target)) for path, target in links.items())))
    command = (str(debian.facts.python), "-I", "-S", "-c")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [*command, f"OUTSIDE = {str(outside)!r}\n{_SERVICE}"]},
        "rootfs": {"type": "layers", "diff_ids": [*(layer.diff_id for layer in debian.layers), own.digest]},
    }
    return _with_config(store, config, [*(layer.descriptor for layer in debian.layers), own], tmp_path / "scratch")


def _with_config(store: LayoutStore, config: object, layers: list[Descriptor], scratch: Path) -> RemoteImage:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(store, CONFIG, json.dumps(config).encode()).to_dict(),
        "layers": [layer.to_dict() for layer in layers],
    }
    root = put(store, MANIFEST, json.dumps(document).encode())
    return RemoteImage(ImageReference.parse(f"localhost:1/a@{root.digest}"), root, store, True, None, scratch)


def changed(image: RemoteImage, **settings: object) -> RemoteImage:
    """The image with other settings of its configuration."""
    store = image.store
    assert isinstance(store, LayoutStore)
    with store.open(image.root) as stream:
        document = json.loads(stream.read())
    with store.open(Descriptor.from_dict(document["config"])) as stream:
        config = json.loads(stream.read())
    config["config"] |= settings
    layers = [Descriptor.from_dict(layer) for layer in document["layers"]]
    return _with_config(store, config, layers, image.scratch)


def proven(image: RemoteImage, runner: Runner, expected: object) -> Proof:
    """The proof that a service answers as expected; skips the test where the runner cannot be used."""
    if why := runner.obstacle():
        pytest.skip(why)
    return verify(image, [runner], Sample("/", expected=expected), lambda _: None)


@pytest.mark.parametrize(
    ("named", "answer"),
    cases(
        {
            "as root": ("root", {"user": [0, 0], "home": "/root"}),
            "as a named user": ("www-data", {"user": [33, 33], "home": "/var/www"}),
        },
        "as root",
    ),
)
def test_a_hostile_image_changes_nothing(image: RemoteImage, outside: Path, named: str, answer: object) -> None:
    """It works, as the user that it names, and neither its links nor folders that it closes matter to this machine."""
    proof = proven(changed(image, User=named), NamespaceRunner(), answer)
    assert proof.memory
    assert_untouched(image, outside)


def test_a_hostile_image_changes_nothing_by_bubblewrap(image: RemoteImage, outside: Path) -> None:
    """It makes the same sandbox."""
    require("bwrap")
    proven(changed(image, User="root"), BubblewrapRunner(), {"user": [0, 0], "home": "/root"})
    assert_untouched(image, outside)


def test_root_of_an_image_is_not_root_in_a_chroot(image: RemoteImage, outside: Path) -> None:
    """It has a user of its own there, whatever it names."""
    proof = proven(changed(image, User="root"), ChrootRunner(allowed=True), {"home": "/root"})
    assert '"user": [0' not in proof.answer
    assert_untouched(image, outside)


def assert_untouched(image: RemoteImage, outside: Path) -> None:
    """Nothing is left of a run, and the folder that links led to is as it was."""
    assert list(image.scratch.iterdir()) == []
    assert outside.stat().st_mode & 0o7777 == 0o755
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"file": "planted"}


@pytest.mark.parametrize(
    ("code", "said", "hinted"),
    cases(
        {
            "needs an address": ("urllib.request.urlopen('http://192.0.2.1/model')", "unreachable", True),
            "needs a name": ("urllib.request.urlopen('http://host.test/model')", "resolution", True),
            "fails otherwise": ("1 / 0", "division by zero", False),
        },
        "needs an address",
    ),
)
def test_a_service_that_needs_a_network_is_told_of(image: RemoteImage, code: str, said: str, hinted: bool) -> None:
    """The error has a hint at it, and only then."""
    command = [*image_command(image)[:4], f"import urllib.request; {code}"]
    variables = [f"NUMBER_{number}={'x' * 1000}" for number in range(200)]
    with pytest.raises(VerifyError, match=said) as caught:
        proven(changed(image, Entrypoint=command, Env=variables), NamespaceRunner(), ...)
    assert ("no network" in caught.value.hint) is hinted


def image_command(image: RemoteImage) -> list[str]:
    """The command of an image."""
    with image.store.open(image.root) as stream:
        document = json.loads(stream.read())
    with image.store.open(Descriptor.from_dict(document["config"])) as stream:
        return list(json.loads(stream.read())["config"]["Entrypoint"])


def test_a_chroot_has_to_be_allowed() -> None:
    """Nothing is run in one otherwise."""
    if os.geteuid() == 0:
        assert "VERIFY_AS_ROOT=1" in str(ChrootRunner().obstacle())
