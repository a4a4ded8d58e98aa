"""The two ways to publish, each as a user with folders of their own: `invoke publish`, and BentoML with Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Run, UnmeasuredError, run
from benchmarks.registry import Registry
from bentoship.docker.connection import Engine
from bentoship.settings import KNOWN

ROOT = Path(__file__).parents[1]
EXAMPLE = "celestial-bodies"
"""The project that is published, this repository's own example."""
MODEL = "celestial_bodies_classifier_model"

_PYTHON = (sys.executable, "-P", "-m")
_ADD_MODEL = """\
import shutil, sys
from pathlib import Path

import bentoml

name, version, weights = sys.argv[1:]
known = bentoml.models.get(f"{name}:latest")
with bentoml.models.create(f"{name}:{version}", labels=known.info.labels, metadata=known.info.metadata) as model:
    for path in Path(known.path).iterdir():
        if path.name not in ("model.yaml", "weights.bin"):
            shutil.copyfile(path, model.path_of(path.name))
    shutil.copyfile(weights, model.path_of("weights.bin"))
"""


# The second would have every command recompile what it imports, which nobody has who does not ask for it.
_NOT_PASSED = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Publication:
    """What publishing once took and made.

    Args:
        seconds: all commands together.
        memory: bytes that the largest process held at most; of the commands, not of Docker's engine.
        tree: bytes that all processes of a command held together at most.
        same: whether the image's digest is the one that the project had before.
        size: bytes of the image in the registry.
        sent: bytes that the registry took in: layers, configuration, manifests.
        layers: bytes of layers in that.
        again: bytes of layers in that which the same side had sent before, as a part of whatever image.
    """

    seconds: float
    memory: int
    tree: int
    same: bool
    size: int
    sent: int
    layers: int
    again: int


class Side(ABC):
    """A way to publish.

    Args:
        place: an empty folder, for what a user has in theirs.
        registry: where images go.
    """

    name: str

    def __init__(self, place: Path, registry: Registry) -> None:
        self.place = place
        self.registry = registry
        self._known: set[str] = set()
        self._digests: dict[str, str] = {}
        self.add_project(EXAMPLE)

    @property
    def env(self) -> dict[str, str]:
        """The environment of every command: this process's, without settings, with folders of the user's own."""
        kept = {name: value for name, value in os.environ.items() if name not in {*KNOWN, *_NOT_PASSED}}
        return kept | {
            # As in a virtual environment that was activated.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "VIRTUAL_ENV": sys.prefix,
            "HOME": str(self.place / "home"),
            "XDG_CACHE_HOME": str(self.place / "cache"),
            # Of the real user, because it tells where packages are to be had.
            "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config"),
            "BENTOML_HOME": str(self.place / "bentoml"),
            "UV_CACHE_DIR": str(self.place / "uv"),
            "BENTOML_DO_NOT_TRACK": "true",
        }

    def project(self, name: str = EXAMPLE) -> Path:
        """The folder of a project."""
        return self.place / name

    def add_project(self, name: str) -> Path:
        """Have a copy of the example under a name. Returns: its folder."""
        folder = self.project(name)
        folder.mkdir(parents=True)
        for part in ("bentofile.yaml", "tasks.py", "pyproject.toml"):
            shutil.copy(ROOT / part, folder)
        for part in ("src", "model"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        return folder

    def add_model(self, weights: Path, version: str) -> None:
        """Keep a new version of the example's model in the Bento store, with a large file beside the others."""
        self.run("-c", _ADD_MODEL, MODEL, version, str(weights), program=(sys.executable, "-P"))

    def forget(self) -> None:
        """Be as if nothing had ever been published: no caches, no Bento store, nothing of it in the registry."""
        for name in ("home", "cache", "bentoml", "uv"):
            shutil.rmtree(self.place / name, ignore_errors=True)
            (self.place / name).mkdir()
        self.registry.forget(self.name)
        self._known.clear()
        self._digests.clear()

    @property
    def is_warm(self) -> bool:
        """Whether it has published something since it was to forget."""
        return bool(self._known)

    def publish(self, name: str = EXAMPLE) -> Publication:
        """Publish a project as its user would, and look at what that made of the registry."""
        repository = f"{self.name}/{name}"
        runs = list(self._publish(self.project(name), repository))
        taken = self.registry.taken()
        stored = self.registry.image(repository)
        layers = {digest: count for digest, count in taken.items() if digest in stored.layers}
        again = sum(count for digest, count in layers.items() if digest in self._known)
        self._known |= stored.layers
        before, self._digests[name] = self._digests.get(name), stored.digest
        return Publication(
            seconds=sum(one.seconds for one in runs),
            memory=max(one.memory for one in runs),
            tree=max(one.tree for one in runs),
            same=stored.digest == before,
            size=stored.size,
            sent=sum(taken.values()),
            layers=sum(layers.values()),
            again=again,
        )

    @abstractmethod
    def _publish(self, project: Path, repository: str) -> Iterator[Run]:
        """Run the commands that publish a project, in its folder."""

    def run(self, *arguments: str, program: Sequence[str] = _PYTHON, cwd: Path | None = None, **env: str) -> Run:
        """Run a command of this user."""
        return run([*program, *arguments], cwd=cwd or self.project(), env=self.env | env)


class Ours(Side):
    """`invoke publish`."""

    name = "bentoship"

    def _publish(self, project: Path, repository: str) -> Iterator[Run]:
        owner, _, image = repository.partition("/")
        registry = f"{self.registry.host}/{owner}"
        yield self.run("invoke", "publish", cwd=project, REGISTRY=registry, IMAGE_NAME=image, BASE_IMAGE="debian")

    def have_base(self, kept: Path) -> None:
        """Have the base that all images share, made by whoever published first.

        Args:
            kept: a folder that keeps it; when it is empty, it is made there.
        """
        cache = self.place / "cache" / "bentoship"
        if not kept.exists():
            self.run("-c", _MAKE_BASE, str(kept), program=(sys.executable, "-P"), PYTHONPATH=str(ROOT / "src"))
        shutil.rmtree(cache, ignore_errors=True)
        subprocess.run(["cp", "--archive", kept, cache], check=True)


_MAKE_BASE = """\
import sys
from pathlib import Path

from bentoship.bases.debian import DebianSource
from bentoship.layers.cache import LayerCache

cache = Path(sys.argv[1])
cache.mkdir(parents=True)
DebianSource(cache, "3.11", LayerCache(cache / "layers")).make("linux/amd64")
"""


class Theirs(Side):
    """`bentoml build`, `bentoml containerize` with BuildKit, `docker tag`, `docker push`.

    Args:
        place: an empty folder, for what a user has in theirs.
        registry: where images go.
        engine: Docker's, which nobody else uses.
        base: the image in it that BentoML builds on.

    Raises: UnmeasuredError when there is no docker command.
    """

    name = "docker"

    def __init__(self, place: Path, registry: Registry, engine: Engine, base: str) -> None:
        self._engine = engine
        self._base = base
        super().__init__(place, registry)
        (place / "bin").mkdir()
        # Debian's command has BuildKit in it and fits Debian's engine; another one may need a plugin for it.
        program = shutil.which("docker", path=f"/usr/bin:{os.environ['PATH']}")
        if program is None:
            raise UnmeasuredError("the docker command is not installed")
        (place / "bin" / "docker").symlink_to(program)

    @property
    def env(self) -> dict[str, str]:
        """The environment of every command, with the engine."""
        env = super().env
        return env | {
            "PATH": f"{self.place / 'bin'}:{env['PATH']}",
            "DOCKER_HOST": self._engine.endpoint.host,
            "DOCKER_CONFIG": str(self.place / "home" / ".docker"),
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
        }

    def add_project(self, name: str) -> Path:
        """Have a copy of the example under a name, which names the base. Returns: its folder."""
        folder = super().add_project(name)
        bentofile = folder / "bentofile.yaml"
        text = bentofile.read_text("utf-8")
        bentofile.write_text(text.replace("docker:\n", f"docker:\n  base_image: {self._base}\n"), "utf-8")
        return folder

    def forget(self) -> None:
        """Forget all, but for the base image and the model, which whoever trained it has in the Bento store."""
        super().forget()
        for image in self._engine.client.images.list():
            if self._base not in image.tags:
                self._engine.client.images.remove(image.id, force=True)
        self._engine.client.api.prune_builds(all=True)
        [exported] = (self.project() / "model").glob("*.bentomodel")
        self.run("bentoml", "models", "import", str(exported))

    def _publish(self, project: Path, repository: str) -> Iterator[Run]:
        name = f"{project.name}:latest"
        target = f"{self.registry.host}/{repository}:latest"
        # BentoML imports the service, and knows of src/ only in the image.
        built = self.run("bentoml", "build", "--output", "tag", cwd=project, PYTHONPATH=str(project / "src"))
        yield built
        tag = built.output.strip().rpartition("__tag__:")[2]
        # Its steps download packages by the network of this machine: the engine leaves the host's firewall alone.
        options = ("--image-tag", name, "--opt", "network=host")
        yield self.run("bentoml", "containerize", tag, *options, cwd=project)
        yield self.run("tag", name, target, program=("docker",), cwd=project)
        yield self.run("push", target, program=("docker",), cwd=project)
