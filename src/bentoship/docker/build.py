"""BentoML's own containerization, run as its command and watched."""

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bentoship.bento import Bento
from bentoship.docker.build_output import BuildOutput
from bentoship.docker.connection import Engine
from bentoship.errors import ProcessError
from bentoship.system.process import environment, run, stream


@dataclass(frozen=True)
class BuildOptions:
    """What building needs on this machine.

    Args:
        bentoml_home: BentoML's own folder.
        platform: what images are to run on, such as "linux/amd64".
        scratch: a folder for what is needed only meanwhile.
        logs: a folder for what the build says.
        tell: told in words how the build goes on.
    """

    bentoml_home: Path
    platform: str
    scratch: Path
    logs: Path
    tell: Callable[[str], None] = lambda _: None


def build(engine: Engine, bento: Bento, name: str, options: BuildOptions) -> None:
    """Have BentoML and Docker make an image of a Bento.

    Args:
        engine: where it is built, and is kept.
        bento: a Bento in the store.
        name: what the image is to be called, "NAME:latest".
        options: what building needs.

    Raises:
        ProcessError: the docker command is missing.
        EngineError: the build failed, in the words of its last lines.
    """
    env = environment(
        prefixes=("DOCKER_", "BUILDKIT_", "BUILDX_", "BENTOML_", "LC_", "HF_"),
        # BuildKit is given their values as secrets, which stay out of the image.
        names=("SSH_AUTH_SOCK", *(variable.name for variable in bento.envs if variable.stage == "build")),
        extra=engine.endpoint.env,
    )
    classic = classic_builder_reason(engine, env)
    log = options.logs / f"containerize-{bento.name}.log"
    for parent in (options.logs, options.scratch):
        parent.mkdir(parents=True, exist_ok=True)
    # BentoML takes a template only from below the folder that it runs in, and from no hidden one, as caches are.
    template = (bento.path / "env" / "docker" / "Dockerfile.template").exists()
    with (
        tempfile.TemporaryDirectory(prefix="build-", dir=None if template else options.scratch) as folder,
        log.open("w", encoding="utf-8") as file,
    ):
        output = BuildOutput(file, options.tell)
        builder = f"the classic builder, because {classic}," if classic else "BuildKit"
        options.tell(f"with {builder} at {engine.endpoint.host}")
        env |= _variables(options, folder, "0" if classic else "1")
        platform = [] if options.platform == engine.platform else ["--opt", f"platform={options.platform}"]
        # The classic builder would keep the container of a step that failed.
        removal = ["--opt", "force-rm"] if classic else []
        command = [sys.executable, "-P", "-m", "bentoml", "containerize", bento.tag, "--image-tag", name]
        command += ["--backend", "docker", *platform, *removal]
        try:
            if stream(command, env=env, cwd=Path(folder) if template else None, on_line=output.add) != 0:
                raise output.error(bento.tag, engine.endpoint.host)
        except BaseException:
            _remove_last(engine, output.intermediate_images)
            raise


def classic_builder_reason(engine: Engine, env: Mapping[str, str]) -> str | None:
    """Return why a build is the classic builder's; None when it is BuildKit's.

    Args:
        engine: where it is built.
        env: what the docker command is given.

    Raises:
        ProcessError: the docker command is missing.
        EngineError: the engine does not say what it is.
    """
    if shutil.which("docker", path=env.get("PATH")) is None:
        hint = "Install docker's command (Debian: docker.io or docker-cli), or set BACKEND=direct."
        raise ProcessError("Build with BentoML and Docker", "the docker command, which BentoML calls, is missing", hint)
    if env.get("DOCKER_BUILDKIT") == "0":
        return "DOCKER_BUILDKIT is 0"
    with engine.doing("Ask the engine what it is"):
        api, is_podman = str(engine.client.version().get("ApiVersion", "0")), engine.is_podman
    if is_podman:
        return "the engine is podman"
    # The first engines with BuildKit speak 1.39.
    if tuple(map(int, re.findall(r"\d+", api)[:2])) < (1, 39):
        return f"the engine's API {api} is older"
    client = re.search(r"Docker version (\d+)\.", run(["docker", "--version"], env=env).stdout)
    if client is None:
        return "the docker command is podman's"
    # From version 23 on the command has BuildKit as a plugin, in itself no more.
    if int(client[1]) >= 23 and run(["docker", "buildx", "version"], env=env, check=False).code:
        return "the docker command has no plugin buildx"
    return None


def _variables(options: BuildOptions, folder: str, buildkit: str) -> Mapping[str, str]:
    """Return the variables that the build is to see, besides the user's."""
    return {
        "DOCKER_BUILDKIT": buildkit,
        "BUILDKIT_PROGRESS": "plain",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # they hold the time, and make an index of the image
        "BENTOML_HOME": str(options.bentoml_home),
        "BENTOML_DO_NOT_TRACK": "true",
        "PYTHONWARNINGS": "ignore",
        # The build's context is copied there, and it would stay if BentoML were ended.
        "TMPDIR": folder,
    }


def _remove_last(engine: Engine, intermediate: list[str]) -> None:
    """Remove the last image of a build that broke off; the classic builder leaves it, without a name."""
    if not intermediate:
        return
    with suppress(Exception):  # an engine that is gone is what broke the build, and is told as that
        time.sleep(1.0)  # which an engine may take to end the step that it is at
        for image in engine.client.images.list(filters={"dangling": True}):
            ids = (str(image.id)[7:19], str(image.attrs.get("Parent", ""))[7:19])
            if not set(intermediate).isdisjoint(ids):
                engine.forget(str(image.id))
