"""Whether `docker build` can use BuildKit, which depends on the engine and on the docker command."""

import re
import shutil
from collections.abc import Mapping

from bentoship.docker.connection import Engine
from bentoship.errors import ProcessError
from bentoship.system.process import run

_FIRST_API = (1, 39)
_FIRST_CLIENT_WITH_PLUGIN = 23
"""Docker's version from which on the command has BuildKit as a plugin, in itself no more."""


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
    if tuple(map(int, re.findall(r"\d+", api)[:2])) < _FIRST_API:
        return f"the engine's API {api} is older"
    client = re.search(r"Docker version (\d+)\.", run(["docker", "--version"], env=env).stdout)
    if client is None:
        return "the docker command is podman's"
    needs_plugin = int(client[1]) >= _FIRST_CLIENT_WITH_PLUGIN
    if needs_plugin and run(["docker", "buildx", "version"], env=env, check=False).code:
        return "the docker command has no plugin buildx"
    return None
