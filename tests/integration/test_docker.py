"""BACKEND=docker and containerize --load on a real engine, with the commands that people type afterwards."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bentoship.bento.content import stored_state
from bentoship.docker.connection import Engine as Connection
from bentoship.docker.connection import connect
from bentoship.docker.load import ImageArchive
from bentoship.image.progress import SilentProgress
from bentoship.stores.graph import read_image
from bentoship.stores.layout import LayoutStore
from bentoship.system import records
from bentoship.system.files import file_lock
from tests.support import dockerd
from tests.support import proxy as proxies
from tests.support.bento import BENTOFILE
from tests.support.cache import needs_apt, of_run
from tests.support.dockerd import bentoml_base
from tests.support.engines import Engine, docker, output, require
from tests.support.proxy import Fault
from tests.support.site import Site, echo_site, shared_cache
from tests.support.slow import cases

pytestmark = needs_apt

BUILDERS = cases({"BuildKit": "1", "the classic builder": "0"}, "BuildKit")  # values of DOCKER_BUILDKIT

REFERENCE = re.compile(r"localhost:\d+/bentoship/\S+@sha256:[0-9a-f]{64}\n")
HOME = "/home/bentoml/bento"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Docker's engine, driven by its command."""
    require("docker")
    return docker(tmp_path_factory.mktemp("docker"))


@pytest.fixture(scope="session")
def connection(engine: Engine) -> Connection:
    """The same, by its API."""
    return connect()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """Caches with a registry that stops when the tests have ended."""
    folder = shared_cache(tmp_path_factory.mktemp("caches"), of_run(tmp_path_factory, worker_id))
    yield folder
    assert echo_site(tmp_path_factory.mktemp("end"), folder).invoke("stop-registry").returncode == 0


_TEMPLATE_OPTION = "dockerfile_template: ./Dockerfile.template"
_TEMPLATE = """{% extends bento_base_template %}
{% block SETUP_BENTO_ENTRYPOINT %}
USER root
RUN printf built > /etc/by-template
{{ super() }}
{% endblock %}
"""


def site_of(folder: Path, cache: Path, engine: Engine, **settings: str) -> Site:
    """A project whose runs find the engine."""
    reached = {name: value for name, value in engine.env.items() if name.startswith("DOCKER_")}
    return echo_site(folder, cache, **reached, **settings)


def build_on(site: Site, base: str) -> None:
    """Have BentoML build on an image of the engine."""
    text = BENTOFILE.replace("docker:\n", f"docker:\n  base_image: {base}\n")
    (site.folder / "bentofile.yaml").write_text(text, "utf-8")


def remove(engine: Engine, name: str) -> None:
    """Remove the images of that name, here and for any registry."""
    listed = engine("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    for image in listed:
        if image.rpartition(":")[0].endswith(name):
            engine("rmi", "--force", image)


def leftovers(engine: Engine) -> set[str]:
    """Images without a name, and containers of such."""
    listed = engine("ps", "--all", "--format", "{{.ID}} {{.Image}}").splitlines()
    containers = {line.split()[0] for line in listed if re.fullmatch(r"[0-9a-f]{12}", line.split()[1])}
    return containers | set(engine("images", "--quiet", "--filter", "dangling=true").split())


def assert_left_nothing(engine: Engine, before: set[str]) -> None:
    """Containers of other tests come and go meanwhile; what a build leaves would stay."""
    deadline = time.monotonic() + 30
    while not leftovers(engine) <= before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert leftovers(engine) <= before


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """No other process of the tests is at what may leave something."""
    with file_lock(of_run(tmp_path_factory, worker_id) / "leftovers.lock"):
        yield


@dataclass(frozen=True)
class Ways:
    """What `BACKEND=docker invoke publish` did.

    Args:
        site: the project.
        name: what the engine calls the image.
        reference: what was printed.
        told: what was told meanwhile.
        log: what the build has left in its log, which the next build of the same Bento rewrites.
    """

    site: Site
    name: str
    reference: str
    told: str
    log: str = ""


@pytest.fixture(scope="session")
def built(
    engine: Engine, connection: Connection, cache: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Ways]:
    """The echoing service, published by BentoML and Docker."""
    name = f"echo-built-{worker_id}"
    site = site_of(tmp_path_factory.mktemp("built"), cache, engine, BACKEND="docker", IMAGE_NAME=name)
    build_on(site, bentoml_base(connection))
    done = site.invoke("publish")
    assert done.returncode == 0, done.stderr[-3000:]
    log = site.cache / "bentoship" / "logs" / "containerize-echo.log"
    yield Ways(site, f"{name}:latest", done.stdout.strip(), done.stderr, log.read_text("utf-8"))
    remove(engine, name)


@pytest.fixture(scope="session")
def loaded(engine: Engine, cache: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Ways]:
    """The same service, assembled, put into the engine and pushed, in one call."""
    name = f"tests/echo-loaded-{worker_id}"
    site = site_of(tmp_path_factory.mktemp("loaded"), cache, engine, IMAGE_NAME=name)
    done = site.invoke("containerize", "--load", "push")
    assert done.returncode == 0, done.stderr
    yield Ways(site, f"{name}:latest", done.stdout.strip(), done.stderr)
    remove(engine, name)


@pytest.fixture(params=["built", "loaded"])
def way(request: pytest.FixtureRequest) -> Ways:
    """Both ways to an image in the engine."""
    ways: Ways = request.getfixturevalue(request.param)
    return ways


def test_the_steps_tell_what_they_do(built: Ways) -> None:
    """The build's output comes as lines of the step and is kept; stdout has the reference; each layer has its end."""
    assert REFERENCE.fullmatch(f"{built.reference}\n")
    assert re.search(r"^containerize +#\d+ \[.*RUN ", built.told, re.MULTILINE)
    assert "writing image" in built.log
    outcomes = re.findall(r"^ +[\d.]+ k?M?B +(\w+) +\S", built.told, re.MULTILINE)
    assert len(outcomes) > 8
    assert set(outcomes) == {"sent"}


def test_load_and_push_go_together(loaded: Ways) -> None:
    """`containerize --load push` makes the image once, loads it once, and pushes it."""
    assert REFERENCE.fullmatch(f"{loaded.reference}\n")
    assert len(re.findall(r"^containerize +sha256:.* in \d+ layers$", loaded.told, re.MULTILINE)) == 1
    # On a busy machine the progress is reported, too.
    results = [line for line in re.findall(r"^load +(.*)", loaded.told, re.MULTILINE) if "sending layers" not in line]
    assert len(results) == 1
    assert f"{loaded.name} is in Docker's engine" in results[0]


def test_docker_run_serves(engine: Engine, way: Ways) -> None:
    """`docker run --rm -p PORT:3000 NAME:latest` answers, as the same user in the same folder, and stops when asked."""
    with engine.running(way.name) as container:
        assert container.client.post("/echo", json={"text": "hello"}).text == "hello"
        assert container.execute("id", "-u") == "1034"
        assert container.execute("pwd") == HOME
        assert container.stop() == 0


def test_both_have_the_same_configuration(engine: Engine, built: Ways, loaded: Ways) -> None:
    """User, folder, entrypoint, ports and variables, but for those of pip and uv, which only BentoML's image has."""
    one, other = (json.loads(engine("inspect", ways.name))[0]["Config"] for ways in (built, loaded))
    for key in ("User", "WorkingDir", "Entrypoint", "Cmd", "ExposedPorts"):
        assert one[key] == other[key], key
    envs = [
        {v for v in config["Env"] if not v.startswith(("SSL_CERT_FILE=", "PIP_", "UV_"))} for config in (one, other)
    ]
    assert envs[0] == envs[1]
    made_of = {"org.bentoship.base", "org.bentoship.packages"}  # which only the one that was assembled can say
    said = [{name: text for name, text in c["Labels"].items() if name.startswith("org.")} for c in (one, other)]
    assert said[0].keys() == said[1].keys() - made_of
    assert said[0]["org.opencontainers.image.title"] == "echo"
    assert said[0]["org.bentoship.bento"] == f"echo:{said[0]['org.opencontainers.image.version']}"


def test_docker_tag_and_docker_push_work(engine: Engine, way: Ways) -> None:
    """The commands that one types without us end in the registry, where the layers are already."""
    repository = way.reference.partition("@")[0]
    engine("tag", way.name, f"{repository}:by-hand")
    told = engine("push", f"{repository}:by-hand")
    assert re.search(r"by-hand: digest: sha256:[0-9a-f]{64}", told)


def test_the_digest_is_the_registry_s(engine: Engine, built: Ways) -> None:
    """What was printed can be pulled, and is the image that was built."""
    identity = engine("inspect", "--format", "{{.Id}}", built.name)
    engine("pull", "--quiet", built.reference)
    assert engine("inspect", "--format", "{{.Id}}", built.reference) == identity


def test_publishing_again_sends_nothing(built: Ways) -> None:
    """The same image, the same digest, and all of it there."""
    again = built.site.invoke("publish")
    assert again.stdout.strip() == built.reference
    assert "sent 0 B" in again.stderr


def test_a_registry_that_fails_is_told(built: Ways) -> None:
    """What the engine has met while it pushed, in two lines."""
    registry, _, name = built.reference.partition("@")[0].partition("/")
    with proxies.before(registry) as proxy:
        proxy.faults.append(Fault("PUT", "/manifests/", times=10, status=500))
        error = told(built.site.invoke("push", REGISTRY=f"{proxy.host}/{name.rpartition('/')[0]}"))
    assert f"Push {proxy.host}/{name}:latest: " in error
    assert "500 Internal Server Error" in error
    assert "try again later" in error


def test_plan_builds_nothing(built: Ways) -> None:
    """It tells who would build, and that only this tells what there is to send."""
    planned = built.site.invoke("plan", "--why", BASE_IMAGE="debian")
    assert "is up to date" in planned.stdout
    assert f"would build {built.name}" in planned.stdout
    assert re.search(r"^why +known only after building$", planned.stdout, re.MULTILINE)
    assert "BASE_IMAGE has no effect with BACKEND=docker" in planned.stderr


@pytest.mark.usefixtures("alone")
def test_only_what_changed_is_loaded(engine: Engine, loaded: Ways, tmp_path: Path) -> None:
    """The second time nothing; after a change the last layer, and no image without a name stays."""
    site = Site(tmp_path / "project", loaded.site.home, loaded.site.cache, loaded.site.settings)
    shutil.copytree(loaded.site.folder, site.folder)
    assert "is already in Docker's engine" in site.invoke("containerize", "--load").stderr
    (site.folder / "service.py").open("a").write("\n# changed\n")
    before = leftovers(engine)
    done = site.invoke("containerize", LOAD_IMAGE="1")
    counts = re.search(r"(\d+) of its (\d+) layers already existed", done.stderr)
    assert counts, done.stderr
    assert int(counts[1]) == int(counts[2]) - 1
    assert_left_nothing(engine, before)
    back = loaded.site.invoke("containerize", "--load")
    assert "layers already existed" in back.stderr


def test_the_archive_is_read_by_others(loaded: Ways, tmp_path: Path) -> None:
    """What is loaded is an OCI layout, too, with the digest that the registry has: containerd's store keeps it."""
    require("skopeo")
    digest = loaded.reference.partition("@")[2]
    store, archive = LayoutStore(loaded.site.folder / ".bentoship" / "image"), tmp_path / "image.tar"
    image = ImageArchive(store, read_image(store, store.resolve(digest)), "tests/echo:latest")
    with archive.open("wb") as file:
        file.writelines(image.stream(0, SilentProgress()))
    assert json.loads(output("skopeo", "inspect", f"oci-archive:{archive}"))["Digest"] == digest
    assert json.loads(output("skopeo", "inspect", f"docker-archive:{archive}"))["Architecture"] == "amd64"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("builder", BUILDERS)
def test_a_build_that_fails_is_told(engine: Engine, loaded: Ways, tmp_path: Path, builder: str) -> None:
    """Its last words and where the rest is, in three lines; no container and no image without a name is left."""
    site = site_of(tmp_path, loaded.site.cache, engine, BACKEND="docker", IMAGE_NAME="echo-broken")
    build_on(site, loaded.name)  # whose user may not add another one
    before = leftovers(engine)
    done = site.invoke("publish", DOCKER_BUILDKIT=builder)
    error = told(done)
    assert "Build echo:" in error
    assert re.search(r"exit code: \d+|non-zero code: \d+", error)
    log = re.search(r"See its output: (\S+)", error)
    assert log
    assert Path(log[1]).stat().st_size > 100
    assert_left_nothing(engine, before)
    assert not engine("images", "--quiet", "echo-broken")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("builder", BUILDERS)
def test_a_base_that_does_not_exist_is_told(engine: Engine, cache: Path, tmp_path: Path, builder: str) -> None:
    """With the option that names it."""
    site = site_of(tmp_path, cache, engine, BACKEND="docker")
    build_on(site, "localhost:1/no/such:base")
    error = told(site.invoke("containerize", DOCKER_BUILDKIT=builder))
    assert "localhost:1/no/such:base" in error
    assert "docker.base_image" in error


def believe(cache: Path, bento: Path) -> None:
    """Have a Bento in the store taken for what was built, which its files would tell otherwise."""
    for file in cache.glob("bentoship/bentos/*.json"):
        record = records.read(file)
        if "bento" in record and record["bento"]["path"] == str(bento):  # there are records of other things, too
            records.keep(file, {**record, "state": stored_state(bento)})


@pytest.mark.slow  # the other builds have none
@pytest.mark.usefixtures("alone")
def test_a_template_is_built_by(engine: Engine, connection: Connection, cache: Path, tmp_path: Path) -> None:
    """From a hidden cache, too, where BentoML would not have it; BentoML's own exceptions are told."""
    hidden = tmp_path / ".cache"
    hidden.symlink_to(cache)
    site = site_of(tmp_path, hidden, engine, BACKEND="docker", IMAGE_NAME="echo-template")
    build_on(site, bentoml_base(connection))
    bentofile = site.folder / "bentofile.yaml"
    bentofile.write_text(bentofile.read_text("utf-8").replace("docker:\n", f"docker:\n  {_TEMPLATE_OPTION}\n"), "utf-8")
    (site.folder / "Dockerfile.template").write_text(_TEMPLATE, "utf-8")
    done = site.invoke("containerize")
    assert done.returncode == 0, done.stderr[-3000:]
    assert engine("run", "--rm", "--entrypoint", "cat", "echo-template:latest", "/etc/by-template") == "built"
    remove(engine, "echo-template")
    [kept] = site.home.glob("bentoml/bentos/echo/*/env/docker/Dockerfile.template")
    kept.write_text("{{ 1 // 0 }}", "utf-8")
    believe(cache, kept.parents[2])
    assert "ZeroDivisionError" in told(site.invoke("containerize"))


def test_doctor_tells_how_it_would_be_built(engine: Engine, cache: Path, tmp_path: Path) -> None:
    """Without the docker command not at all; without BuildKit, why."""
    site = site_of(tmp_path, cache, engine, BACKEND="docker")
    slow = site.invoke("doctor", DOCKER_BUILDKIT="0")
    assert "DOCKER_BUILDKIT is 0" in slow.stdout
    assert slow.returncode == 0, slow.stdout
    without = site.invoke("doctor", PATH=str(tmp_path))
    assert "the docker command, which BentoML calls, is missing" in without.stdout
    assert without.returncode == 1


@pytest.mark.parametrize("args", [("containerize", "--load"), ("publish",)])
def test_an_engine_that_is_down_is_told(cache: Path, tmp_path: Path, args: tuple[str, ...]) -> None:
    """Where it was looked for, and what to do."""
    site = echo_site(tmp_path, cache, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    error = told(site.invoke(*args, **({} if "--load" in args else {"BACKEND": "docker"})))
    assert f"nothing listens at unix://{tmp_path}/none.sock" in error
    assert "DOCKER_HOST" in error


@pytest.mark.slow  # test_tasks interrupts what does without Docker
@pytest.mark.parametrize("builder", BUILDERS)
def test_an_interrupt_leaves_nothing(cache: Path, tmp_path: Path, builder: str) -> None:
    """Ctrl-C ends the build at once: no container, no image without a name, no copy of the Bento."""
    with dockerd.running() as daemon:  # in that of the other tests, these may leave something at the same time
        site = echo_site(
            tmp_path, cache, DOCKER_HOST=daemon.host, BACKEND="docker", IMAGE_NAME="echo-cut", DOCKER_BUILDKIT=builder
        )
        base = bentoml_base(daemon.engine)
        build_on(site, base)
        running = site.start("containerize")
        assert running.stderr
        for line in running.stderr:
            if re.match(r"containerize +(#\d+ |Step 3)", line):
                break
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
        assert running.returncode == 130, err
        assert "Traceback" not in err
        assert not list((cache / "bentoship" / "scratch").glob("build-*/*"))
        deadline = time.monotonic() + 10
        while daemon.leftovers(base) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert daemon.leftovers(base) == []


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The error, which is one of three lines at most."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    error = done.stderr[done.stderr.index("Error: ") :]
    assert len(error.strip().splitlines()) <= 3, error
    return error
