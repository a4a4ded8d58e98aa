"""`invoke verify` and `publish --verify`, in every place where a published image can be tried."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bentoship.errors import VerifyError
from bentoship.image.descriptor import CONFIG, MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.graph import read_manifest
from bentoship.stores.registry import RegistryStore
from bentoship.verify.proof import verify
from bentoship.verify.runner import RemoteImage
from bentoship.verify.sample import Sample
from bentoship.verify.sandboxes import NamespaceRunner
from tests.support.cache import needs_apt
from tests.support.engines import output, require
from tests.support.published import ROOT, Published
from tests.support.slow import cases

pytestmark = [needs_apt, pytest.mark.usefixtures("verifying")]

_TIMEOUT = 300

_FORBIDDING = (sys.executable, str(ROOT / "tests" / "support" / "forbidding.py"))


@dataclass(frozen=True)
class Place:
    """A kind of machine.

    Args:
        settings: variables that make this machine one of that kind.
        prefix: a program that does.
    """

    settings: dict[str, str]
    prefix: tuple[str, ...] = ()

    def invoke(self, published: Published, *args: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a task there to its end."""
        with published.start(*args, prefix=self.prefix, **{**self.settings, **settings}) as running:
            try:
                out, err = running.communicate(timeout=_TIMEOUT)
            except BaseException:
                running.send_signal(signal.SIGTERM)
                raise
        return subprocess.CompletedProcess(args, running.returncode, out, err)


def bare(folder: Path) -> dict[str, str]:
    """A machine without any engine."""
    programs = folder / "bin"
    programs.mkdir()
    there: dict[str, Path] = {}
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        there |= {path.name: path for path in Path(place).glob("*")}
    for name in there.keys() - {"docker", "podman", "bwrap"}:
        (programs / name).symlink_to(there[name])
    return {"PATH": str(programs), "DOCKER_HOST": f"unix://{folder}/none.sock"}


@pytest.fixture
def namespace(tmp_path: Path) -> Place:
    """Neither Docker nor podman."""
    if why := NamespaceRunner().obstacle():
        pytest.skip(why)
    return Place(bare(tmp_path))


@pytest.fixture
def forbidding() -> tuple[str, ...]:
    """What begins a command that may make no namespaces; their kinds and the command follow."""
    if os.geteuid() != 0:
        pytest.skip("only root has users to give to a namespace")
    if subprocess.run([*_FORBIDDING, "user", "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are forbidden already")
    return _FORBIDDING


def assert_works(done: subprocess.CompletedProcess[str], published: Published, runner: str) -> None:
    """The service was recognised as working, by that way, and nothing is left of it."""
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{published.reference}\n"
    assert f"{published.digest} works in {runner}" in done.stderr
    assert 'POST /predict: 200 {"prediction": "Saturn"' in done.stderr
    assert "ready after" in done.stderr
    assert "MB of memory" in done.stderr
    assert_nothing_is_left(published)


def assert_nothing_is_left(published: Published) -> None:
    """No folder, no mount, and no process in a / of its own below the scratch folder."""
    assert not list(published.scratch.glob("verify-*"))
    assert str(published.scratch) not in Path("/proc/mounts").read_text("utf-8")
    roots = []
    for process in Path("/proc").glob("[0-9]*/root"):
        try:
            roots.append(str(process.readlink()))
        except OSError:
            continue
    assert not [root for root in roots if root.startswith(str(published.scratch))]


def test_with_docker(published: Published) -> None:
    """On Docker's engine, which has neither container nor image afterwards; an image may be named by its digest."""
    require("docker")
    before = output("docker", "ps", "--all", "--quiet", "--filter", "name=bentoship-verify")
    done = Place({}).invoke(published, "verify", "--version", published.digest[:19])
    assert_works(done, published, "Docker")
    assert f"verifying {published.digest}\n" in done.stderr
    assert output("docker", "ps", "--all", "--quiet", "--filter", "name=bentoship-verify") == before


def test_with_podman_alone(published: Published, tmp_path: Path) -> None:
    """By podman, which has neither container nor image afterwards."""
    require("podman")
    # Podman would raise limits, which needs a right that not every root has.
    (tmp_path / "containers.conf").write_text("[containers]\ndefault_ulimits = []\n")
    store = f'driver="overlay"\ngraphroot="{tmp_path}/root"\nrunroot="{tmp_path}/run"\n'
    (tmp_path / "storage.conf").write_text(f"[storage]\n{store}")
    files = {name: str(tmp_path / name) for name in ("containers.conf", "storage.conf")}
    settings = {
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        "CONTAINERS_CONF": files["containers.conf"],
        "CONTAINERS_STORAGE_CONF": files["storage.conf"],
    }
    done = Place(settings).invoke(published, "verify")
    assert_works(done, published, "podman")
    assert re.search(rf"verifying {published.digest}, to which \S+ points\n", done.stderr)
    env = {**os.environ, **settings}
    assert output("podman", "ps", "--all", "--quiet", env=env) == ""
    assert output("podman", "images", "--quiet", env=env) == ""


@pytest.mark.slow
def test_versions_are_compared_by_their_answers(published: Published, namespace: Place) -> None:
    """Both are run, and what they answer is set side by side, with how long they took and what they held."""
    done = namespace.invoke(published, "compare", "--old", published.digest, "--new", "latest", "--answers", "--json")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)["answers"]
    for one in (answers["old"], answers["new"]):
        assert 'POST /predict: 200 {"prediction": "Saturn"' in one["answer"]
        assert one["seconds"] > 0
        assert one["memory"] > 10_000_000
    assert_nothing_is_left(published)


def test_with_bubblewrap(published: Published, tmp_path: Path) -> None:
    """By bubblewrap, where it is installed and no engine is there."""
    require("bwrap")
    settings = bare(tmp_path)
    (tmp_path / "bin" / "bwrap").symlink_to(str(shutil.which("bwrap")))
    assert_works(Place(settings).invoke(published, "verify"), published, "bubblewrap")


@pytest.mark.slow  # test_publish_ends_with_it takes the same way
def test_with_neither(published: Published, namespace: Place) -> None:
    """In a namespace, without any engine."""
    assert_works(namespace.invoke(published, "verify"), published, "a namespace")


@pytest.mark.slow  # of the ways, the last resort
@pytest.mark.parametrize(
    ("kinds", "end"),
    cases(
        {
            "no users": ("user", "exit code 0"),
            "no users, mounts and processes": ("user mnt pid", "could not end by itself without /proc"),
        },
        "no users",
    ),
)
def test_in_a_chroot(published: Published, tmp_path: Path, forbidding: tuple[str, ...], kinds: str, end: str) -> None:
    """Where users, or all, are forbidden to make namespaces, root does without if it is allowed to."""
    place = Place(bare(tmp_path), (*forbidding, kinds))
    done = place.invoke(published, "verify")
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert "VERIFY_AS_ROOT=1" in done.stderr
    done = place.invoke(published, "verify", VERIFY_AS_ROOT="1")
    assert_works(done, published, "a chroot")
    assert end in done.stderr


def test_where_nothing_is_allowed(published: Published, tmp_path: Path, forbidding: tuple[str, ...]) -> None:
    """Not verified: each reason, and an exit code of its own."""
    without_rights = ("setpriv", "--bounding-set", "-sys_chroot,-sys_admin")
    place = Place(bare(tmp_path), (*forbidding, "user", *_absolute(without_rights)))
    done = place.invoke(published, "verify", VERIFY_AS_ROOT="1")
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    error = done.stderr[done.stderr.index("Error: ") :]
    assert all(part in error for part in ("Not verified", "Docker", "podman", "namespace", "chroot"))
    assert len(error.strip().splitlines()) <= 3


def _absolute(command: tuple[str, ...]) -> tuple[str, ...]:
    return (shutil.which(command[0]) or command[0], *command[1:])


def test_publish_ends_with_it(published: Published, namespace: Place) -> None:
    """`publish --verify` publishes, then verifies, and prints one line."""
    done = namespace.invoke(published, "publish", "--verify")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{published.reference}\n"
    assert "sent 0 B" in done.stderr
    assert f"{published.digest} works in" in done.stderr


def test_another_answer_is_a_failure(published: Published, namespace: Place, tmp_path: Path) -> None:
    """Exit code 1, with what came and what was expected."""
    shutil.copy(published.layout.parents[1] / "model" / "saturn.jpg", tmp_path / "picture.jpg")
    request = tmp_path / "request.yaml"
    request.write_text("path: /predict\nfiles: {image: picture.jpg}\nanswer: {prediction: Jupiter}\n")
    done = namespace.invoke(published, "verify", VERIFY_REQUEST=str(request))
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    error = done.stderr[done.stderr.index("Error: ") :]
    assert 'it is 200 {"prediction": "Saturn"' in error
    assert 'instead of 200 {"prediction": "Jupiter"}' in error
    assert_nothing_is_left(published)


def test_an_image_that_does_not_start(published: Published, namespace: Place) -> None:
    """Its last words, and nothing left behind."""
    _publish_broken(published)
    done = namespace.invoke(published, "verify", IMAGE_TAGS="broken")
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    error = done.stderr[done.stderr.index("Error: ") :]
    assert "it ended before it was ready: no stars tonight" in error
    assert len(error.strip().splitlines()) <= 3
    assert_nothing_is_left(published)


def _publish_broken(published: Published) -> None:
    """Give the image a command that fails, and the name "broken"."""
    store = RegistryStore(ImageReference.parse(published.reference), push=True)
    manifest = json.loads(read_manifest(store, store.resolve(published.digest)))
    with store.open(Descriptor.from_dict(manifest["config"])) as stream:
        config = json.loads(stream.read())
    config["config"]["Entrypoint"] = ["/bin/sh", "-c", "echo no stars tonight; exit 7"]
    content = json.dumps(config).encode()
    manifest["config"] = Descriptor.of(CONFIG, content).to_dict()
    document = json.dumps(manifest).encode()
    for descriptor, what in ((Descriptor.of(CONFIG, content), content), (Descriptor.of(MANIFEST, document), document)):
        store.write(descriptor, io.BytesIO(what), lambda _: None)
    store.tag(Descriptor.of(MANIFEST, document), "broken")


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_leaves_nothing(published: Published, namespace: Place, how: signal.Signals, code: int) -> None:
    """Whether it was being unpacked or ran already."""
    running = published.start("verify", prefix=namespace.prefix, **namespace.settings)
    assert running.stderr
    for line in running.stderr:
        if "pulling" in line:
            break
    time.sleep(3.0)
    running.send_signal(how)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (code, ""), err
    assert "Traceback" not in err
    assert_nothing_is_left(published)


@pytest.mark.slow  # with a sample the schema is checked, too
def test_without_a_sample(published: Published, tmp_path: Path) -> None:
    """Readiness and the OpenAPI schema are what is checked, and it says so; a request that fails is told."""
    if why := NamespaceRunner().obstacle():
        pytest.skip(why)
    reference = ImageReference.parse(published.reference)
    store = RegistryStore(reference)
    image = RemoteImage(reference, store.resolve(published.digest), store, True, None, tmp_path / "scratch")
    shown = verify(image, [NamespaceRunner()], None, lambda _: None)
    assert "OpenAPI schema" in shown.answer
    assert "no sample request" in shown.answer
    with pytest.raises(VerifyError, match=r"it is 404 .* instead of 200"):
        verify(image, [NamespaceRunner()], Sample("/nowhere"), lambda _: None)
    assert not list((tmp_path / "scratch").iterdir())
