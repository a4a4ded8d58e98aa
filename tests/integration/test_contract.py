"""One Bento, made into an image by us and by BentoML: whoever runs the one can run the other.

Where they differ, DIFFERENCES says why. A difference that is not in it fails, and so does what is in it and is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from bentoship.docker.connection import connect
from tests.support import contract
from tests.support.cache import needs_apt, of_run
from tests.support.dockerd import bentoml_base
from tests.support.engines import Engine, docker, require
from tests.support.published import Published
from tests.support.shared import shared
from tests.support.slow import cases

pytestmark = [needs_apt, pytest.mark.slow]

_FOR_BUILDING = "is about installing packages, which is over"
_OF_THE_TESTS = "comes from the base on which the tests have BentoML build"
_NOT_READ = "is not read by a service, and would change with every version of what builds"
_SKELETON = "is made by useradd, for people who log in"
_ANY_USER = "lets a container run as any user"
_READ_ONLY = "lets a container start on a read-only system"

DIFFERENCES: dict[str, dict[str, str]] = {
    "configuration": {
        "variable UV_*": _FOR_BUILDING,
        "variable PIP_*": _OF_THE_TESTS,
        "variable SSL_CERT_FILE": _OF_THE_TESTS,
        "label project": "the Bento's labels become the image's",
        "label stage": "the Bento's labels become the image's",
        "label org.bentoship.*": "what the image was made of",
    },
    "variables": {
        "UV_*": _FOR_BUILDING,
        "PIP_*": _OF_THE_TESTS,
        "SSL_CERT_FILE": _OF_THE_TESTS,
        "VIRTUAL_ENV_PROMPT": "is for the prompts of shells",
        "PS1": "is for the prompts of shells",
        "PATH": "uv's script for activating puts the virtual environment before itself",
    },
    "files": {
        "./bento/apis*": _NOT_READ,
        "./bento/env/docker/Dockerfile *": _NOT_READ,
        "./bento/env/python*": _FOR_BUILDING,
        "./bento/bento.yaml content": "its time and package index would change the digest",
        ". rights": _ANY_USER,
        "./.bash_logout *": _SKELETON,
        "./.bashrc *": _SKELETON,
        "./.profile *": _SKELETON,
        "./bentos rights": _READ_ONLY,
        "./envs rights": _READ_ONLY,
        "./models rights": _READ_ONLY,
        "./tmp rights": _READ_ONLY,
    },
}
"""Kind of facts: name of the fact, or a pattern of names: why it differs."""


@dataclass(frozen=True)
class Both:
    """The two images.

    Args:
        engine: has them.
        ours: the name of the one that was assembled.
        theirs: the name of the one that BentoML has built.
    """

    engine: Engine
    ours: str = "tests/contract-direct:latest"
    theirs: str = "tests/contract-docker:latest"

    def make(self, published: Published) -> Both:
        """Have them in the engine."""
        project = published.layout.parents[1].with_name("contract")
        if not project.exists():
            shutil.copytree(published.layout.parents[1], project, ignore=shutil.ignore_patterns(".bentoship"))
            bentofile = project / "bentofile.yaml"
            text = bentofile.read_text("utf-8")
            base = bentoml_base(connect())
            bentofile.write_text(text.replace("docker:\n", f"docker:\n  base_image: {base}\n"), "utf-8")
        for image, settings in (
            (self.ours, {"BACKEND": "direct", "BASE_IMAGE": "debian", "LOAD_IMAGE": "1"}),
            (self.theirs, {"BACKEND": "docker"}),
        ):
            name = image.removesuffix(":latest")
            site = replace(published, layout=project / ".bentoship" / "image")
            with site.start("containerize", prefix=(), IMAGE_NAME=name, **settings) as running:
                _, told = running.communicate(timeout=600)
            assert running.returncode == 0, told[-3000:]
        return self

    def remove(self) -> None:
        """Have them no more."""
        for image in (self.ours, self.theirs):
            self.engine.remove(image)


@pytest.fixture(scope="session")
def both(published: Published, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Both]:
    """The published example as two images."""
    require("docker")
    folder = of_run(tmp_path_factory, worker_id) / "contract"
    folder.mkdir(exist_ok=True)
    images = Both(docker(folder))
    with shared(folder, lambda: images.make(published), images.remove) as made:
        yield made


def assert_alike(kind: str, ours: contract.Facts, theirs: contract.Facts) -> None:
    """They differ in what is known, and in all of that."""
    assert contract.differences(ours, theirs, DIFFERENCES.get(kind, {})) == []


def test_the_configuration(both: Both) -> None:
    """User, variables, folder, ports, entrypoint, command, health check, and the rest that an engine reads."""
    assert_alike("configuration", *(contract.configuration(both.engine, image) for image in (both.ours, both.theirs)))


def test_the_variables(both: Both) -> None:
    """What a program sees after the entrypoint, which may set more than the configuration says."""
    assert_alike("variables", *(contract.variables(both.engine, image) for image in (both.ours, both.theirs)))


def test_the_files(both: Both) -> None:
    """Everything in the home: what it is, who owns it, who may read and write it, and what is in it."""
    ours, theirs = (contract.files(both.engine, image) for image in (both.ours, both.theirs))
    assert "./bento/src/celestial_bodies/service.py content" in ours
    assert_alike("files", ours, theirs)


def test_the_answers(both: Both) -> None:
    """What two containers answer that are asked side by side, right and wrong: status, headers and body."""
    with both.engine.running(both.ours) as ours, both.engine.running(both.theirs) as theirs:
        one, other = contract.answers(ours.client), contract.answers(theirs.client)
        assert len(one) > 3 * 40
        assert one["a picture of Saturn: status"] == (200, "application/json")
        assert_alike("answers", one, other)
        assert_alike("processes", contract.processes(ours), contract.processes(theirs))


@pytest.mark.parametrize(
    ("options", "arguments", "port"),
    cases(
        {
            "PORT": (("--env", "PORT=4001"), (), 4001),
            "BENTOML_PORT": (("--env", "BENTOML_PORT=4002"), (), 4002),
            "serve": ((), ("serve", "--port", "4003"), 4003),
            "options alone": ((), ("--port", "4004", "--api-workers", "2"), 4004),
        },
        "PORT",
        "options alone",
    ),
)
def test_the_arguments_of_serving(both: Both, options: tuple[str, ...], arguments: tuple[str, ...], port: int) -> None:
    """It listens where it is told to, by the same processes, and `docker stop` ends it alike."""
    facts: list[contract.Facts] = []
    for image in (both.ours, both.theirs):
        with both.engine.running(image, *options, arguments=arguments, port=port) as container:
            facts.append({**contract.processes(container), "stop": container.stop()})
    assert facts[0]["stop"] == 0
    assert_alike("serving", *facts)


@pytest.mark.parametrize(
    "arguments",
    [
        ("bash", "-c", "id; pwd; umask; which python bentoml; python -V; ulimit -n; exit 3"),
        ("python", "-c", "import sys, celestial_bodies.service; print(sys.path, sys.prefix, sys.flags)"),
        ("bentoml", "--version"),
        ("bentoml", "models", "list", "--output", "json"),
        ("serve", "--help"),
        ("serve", "--no-such-option"),
        ("no-such-program",),
    ],
    ids=lambda arguments: " ".join(arguments)[:24],
)
def test_other_programs(both: Both, arguments: tuple[str, ...]) -> None:
    """What is run in place of the service finds and says the same, and ends with the same exit code."""
    facts = [contract.outcome(both.engine, image, *arguments) for image in (both.ours, both.theirs)]
    assert facts[0]["says"] or facts[0]["complains"]
    assert_alike("programs", *facts)


@pytest.mark.parametrize(
    ("signal", "code"),
    cases(
        {name: (name, "137" if name == "KILL" else "0") for name in ("TERM", "INT", "QUIT", "HUP", "KILL")},
        "TERM",
        "KILL",
    ),
)
def test_signals(both: Both, signal: str, code: str) -> None:
    """Whoever ends a container gets the same; but for KILL the request that it is at gets its answer first."""
    facts: list[contract.Facts] = []
    for image in (both.ours, both.theirs):
        with both.engine.running(image) as container:
            facts.append(contract.after(container, signal))
    assert facts[0]["code"] == code
    assert (facts[0]["the request"] == "HTTP/1.1 200 OK") == (signal != "KILL")
    assert_alike("signals", *facts)
