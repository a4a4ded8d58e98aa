"""BentoML's own containerization, run as a command."""

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bentoship.bento import Bento
from bentoship.docker.build_output import BuildOutput
from bentoship.docker.connection import Engine
from bentoship.errors import ProcessError
from bentoship.system.files import OWN, open_private, private_folder, temporary_folder
from bentoship.system.process import environment, run, stream
from bentoship.system.values import dataclass


@dataclass(frozen=True)
class BuildOptions:
    """The options of a build.

    Args:
        bentoml_home: BentoML's home folder.
        platform: the platform of the image, such as "linux/amd64".
        scratch: a folder for temporary files.
        logs: a folder for the build's output.
        tell: called with progress messages.
    """

    bentoml_home: Path
    platform: str
    scratch: Path
    logs: Path
    tell: Callable[[str], None] = lambda _: None


def build(engine: Engine, bento: Bento, name: str, labels: Mapping[str, str], options: BuildOptions) -> None:
    """Build the image of a Bento with BentoML and Docker.

    Args:
        engine: the engine that builds and keeps it.
        bento: a Bento in the store.
        name: the name of the image, "NAME:latest".
        labels: the image's labels.
        options: the options of the build.

    Raises:
        ProcessError: the docker command is missing.
        EngineError: the build failed; its last lines say why.
    """
    env = environment(
        prefixes=("DOCKER_", "BUILDKIT_", "BUILDX_", "BENTOML_", "LC_", "HF_"),
        # BuildKit receives their values as secrets, which stay out of the image.
        names=("SSH_AUTH_SOCK", *(variable.name for variable in bento.envs if variable.stage == "build")),
        extra=engine.endpoint.env,
    )
    classic = classic_builder_reason(engine, env)
    log = options.logs / f"containerize-{bento.name}.log"
    for parent in (options.logs, options.scratch):
        private_folder(parent)
    # BentoML accepts a template only below its working directory, and not in a hidden folder, as caches are.
    template = (bento.path / "env" / "docker" / "Dockerfile.template").exists()
    place = (None, OWN) if template else (options.scratch, "build-")
    with (
        _readable([bento.path, *(model.path for model in bento.models)]),
        temporary_folder(*place, wait=True) as folder,
        open_private(log, "w") as file,
    ):
        output = BuildOutput(file, options.tell)
        builder = f"the classic builder, because {classic}," if classic else "BuildKit"
        options.tell(f"with {builder} at {engine.endpoint.host}")
        env |= _variables(options, str(folder), "0" if classic else "1")
        platform = [] if options.platform == engine.platform else ["--opt", f"platform={options.platform}"]
        # The classic builder would keep the container of a failed step.
        removal = ["--opt", "force-rm"] if classic else []
        command = [sys.executable, "-P", "-m", "bentoml", "containerize", bento.tag, "--image-tag", name]
        said = [word for label, text in labels.items() for word in ("--opt", f"label={label}={text}")]
        command += ["--backend", "docker", *platform, *removal, *said]
        try:
            if stream(command, env=env, cwd=folder if template else None, on_line=output.add) != 0:
                raise output.error(bento.tag, engine.endpoint.host)
        except BaseException:
            _remove_last(engine, output.intermediate_images)
            raise


@contextmanager
def _readable(folders: Iterable[Path]) -> Iterator[None]:
    """Allow everyone to read what is in some folders during the block: an image keeps modes, and may run as any user.

    Where bentoship has created the folder above them, that is closed, so no other user of this machine reaches them.
    """
    inner = [path for folder in folders for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    modes = {path: mode for path in inner if not (mode := path.stat().st_mode) & 0o004}
    try:
        for path, mode in modes.items():
            path.chmod(mode | 0o044 | (mode & 0o100) >> 3 | (mode & 0o100) >> 6)
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def classic_builder_reason(engine: Engine, env: Mapping[str, str]) -> str | None:
    """Return why a build uses the classic builder; None when it uses BuildKit.

    Args:
        engine: the engine that builds.
        env: the environment of the docker command.

    Raises:
        ProcessError: the docker command is missing.
        EngineError: the engine's version cannot be read.
    """
    if shutil.which("docker", path=env.get("PATH")) is None:
        hint = "Install the docker command (Debian: docker.io or docker-cli), or set BACKEND=direct."
        raise ProcessError("Build with BentoML and Docker", "the docker command, which BentoML calls, is missing", hint)
    if env.get("DOCKER_BUILDKIT") == "0":
        return "DOCKER_BUILDKIT is 0"
    with engine.doing("Read the engine's version"):
        api, is_podman = str(engine.client.version().get("ApiVersion", "0")), engine.is_podman
    if is_podman:
        return "the engine is podman"
    # The first engines with BuildKit have API 1.39.
    if tuple(map(int, re.findall(r"\d+", api)[:2])) < (1, 39):
        return f"the engine's API version {api} is too old"
    client = re.search(r"Docker version (\d+)\.", run(["docker", "--version"], env=env).stdout)
    if client is None:
        return "the docker command is podman's"
    # From version 23 on, BuildKit is no longer part of the command but a plugin.
    if int(client[1]) >= 23 and run(["docker", "buildx", "version"], env=env, check=False).code:
        return "the docker command lacks the buildx plugin"
    return None


def _variables(options: BuildOptions, folder: str, buildkit: str) -> Mapping[str, str]:
    """Return the variables to set for the build, besides the user's."""
    return {
        "DOCKER_BUILDKIT": buildkit,
        "BUILDKIT_PROGRESS": "plain",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # they contain the time, and turn the image into an index
        "BENTOML_HOME": str(options.bentoml_home),
        "BENTOML_DO_NOT_TRACK": "true",
        "PYTHONWARNINGS": "ignore",
        # The build context is copied there, and would be left behind if BentoML were killed.
        "TMPDIR": folder,
    }


def _remove_last(engine: Engine, intermediate: list[str]) -> None:
    """Remove the last image of an aborted build, which the classic builder leaves behind, untagged."""
    if not intermediate:
        return
    with suppress(Exception):  # if the engine is gone, that is why the build failed, and is reported as such
        time.sleep(1.0)  # for the engine to end its current step
        for image in engine.client.images.list(filters={"dangling": True}):
            ids = (str(image.id)[7:19], str(image.attrs.get("Parent", ""))[7:19])
            if not set(intermediate).isdisjoint(ids):
                engine.forget(str(image.id))
