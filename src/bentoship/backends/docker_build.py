"""BentoML's own containerization, run as its command and watched."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bentoship.bento import Bento
from bentoship.engine import Engine
from bentoship.errors import EngineError, ProcessError
from bentoship.process import environment, run, stream

_LOST = re.compile(r"error during connect|cannot connect to the docker daemon|unexpected EOF|connection reset", re.I)
# The step that looks for the base, as BuildKit and the classic builder call it.
_BASE = re.compile(r"^(?:#(\d+) \[internal\] load metadata for|Step \d+/\d+ : FROM) (\S+)")
_STEP = re.compile(r"^Step \d+/\d+ : ")
# Where the builder's words end and BentoML's own account of them begins.
_AFTERWARDS = re.compile(r"Encountered exception while trying to build|^Traceback \(most recent call last\)")
# What BuildKit says of a step: its output, with the seconds since it began, and its end.
_OUTPUT = re.compile(r"^#(\d+) \d+\.\d+ (.+)")
_FAILED = re.compile(r"^#(\d+) ERROR: (.+)")
# Colours, and the level that BentoML's log puts before what the classic builder says.
_ORNAMENT = re.compile(r"\x1b\[[0-9;]*m")
_SETTLE = 1.0
"""Seconds that an engine may take to end the step that it is at."""
_LEVEL = "INFO: "
_NOTHING = re.compile(r"ERROR:$|Removing intermediate container ")
_INTERMEDIATE = re.compile(r"^ ---> ([0-9a-f]{12})$")


def build(
    engine: Engine,
    bento: Bento,
    name: str,
    *,
    bentoml_home: Path,
    platform: str,
    scratch: Path,
    log: Path,
    tell: Callable[[str], None],
) -> None:
    """Have BentoML and Docker make an image of a Bento.

    Args:
        engine: where it is built, and is kept.
        bento: a Bento in the store.
        name: what the image is to be called, "NAME:latest".
        bentoml_home: BentoML's own folder.
        platform: what it is to run on, such as "linux/amd64".
        scratch: a folder for what is needed only meanwhile.
        log: the file for all that is said.
        tell: told each line of that.

    Raises:
        ProcessError: the docker command is missing.
        EngineError: the build failed, in the words of its last lines.
    """
    env = environment(
        prefixes=("DOCKER_", "BUILDKIT_", "BUILDX_", "BENTOML_", "LC_", "HF_"),
        # BuildKit is given their values as secrets, which stay out of the image.
        names=("SSH_AUTH_SOCK", *(one.name for one in bento.envs if one.stage == "build")),
        extra=engine.place.env,
    )
    buildkit = env.get("DOCKER_BUILDKIT", "1") != "0" and _has_buildkit(engine, env)
    log.parent.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    over = False
    with tempfile.TemporaryDirectory(prefix="build-", dir=scratch) as folder, log.open("w", encoding="utf-8") as file:

        def hear(line: str) -> None:
            nonlocal over
            line = _ORNAMENT.sub("", line).removeprefix(_LEVEL)
            over = over or bool(_AFTERWARDS.search(line))
            if line.strip():
                print(line, file=file, flush=True)
                if not over:
                    said.append(line)
                    tell(line)

        extra = {
            "DOCKER_BUILDKIT": "1" if buildkit else "0",
            "BUILDKIT_PROGRESS": "plain",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # they hold the time, and make an index of the image
            "BENTOML_HOME": str(bentoml_home),
            "BENTOML_DO_NOT_TRACK": "true",
            "PYTHONWARNINGS": "ignore",
            # The build's context is copied there, and it would stay if BentoML were ended.
            "TMPDIR": folder,
        }
        options = [] if platform == engine.platform else ["--opt", f"platform={platform}"]
        # The classic builder would keep the container of a step that failed.
        options += [] if buildkit else ["--opt", "force-rm"]
        command = [sys.executable, "-P", "-m", "bentoml", "containerize", bento.tag, "--image-tag", name]
        tell(f"with {'BuildKit' if buildkit else 'the classic builder'} at {engine.place.host}")
        try:
            code = stream([*command, "--backend", "docker", *options], env={**env, **extra}, on_line=hear)
        except BaseException:
            _clear(engine, said)
            raise
    if code != 0:
        _clear(engine, said)
        raise _failure(bento, said, log, engine.place.host)


def _has_buildkit(engine: Engine, env: dict[str, str]) -> bool:
    """Whether `docker build` can use BuildKit: the client has it, in itself or as a plugin, and so has the engine."""
    if shutil.which("docker", path=env.get("PATH")) is None:
        hint = "Install docker's command (Debian: docker.io or docker-cli), or set BACKEND=direct."
        raise ProcessError("Build with BentoML and Docker", "the docker command, which BentoML calls, is missing", hint)
    client = run(["docker", "--version"], env=env).stdout
    version = re.search(r"Docker version (\d+)\.", client)
    if version is None or engine.is_podman:  # podman's own command, or podman in the engine's place
        return False
    return int(version[1]) < 23 or run(["docker", "buildx", "version"], env=env, check=False).code == 0


def _clear(engine: Engine, said: list[str]) -> None:
    """Remove the last image of a build that broke off; the classic builder leaves it, without a name."""
    # The first one is the base, on which others may be building, too.
    made = [match[1] for line in said if (match := _INTERMEDIATE.match(line))][1:]
    if not made:
        return
    with suppress(Exception):  # an engine that is gone is what broke the build, and is told as that
        time.sleep(_SETTLE)
        for image in engine.client.images.list(filters={"dangling": True}):
            known = (str(image.id)[7:19], str(image.attrs.get("Parent", ""))[7:19])
            if not set(made).isdisjoint(known):
                engine.forget(str(image.id))


def _failure(bento: Bento, said: list[str], log: Path, host: str) -> EngineError:
    failed, lines = _last_words(said)
    told = "\n".join(lines).lower()
    doing = f"Build {bento.tag} with BentoML and Docker"
    hint = f"All of its output: {log}"
    if base := _base(said, failed):
        doing, hint = f"{doing} on {base}", f"Name a base that can be had: docker.base_image in bentofile.yaml. {hint}"
    elif _LOST.search(told):
        hint = f"The engine at {host} is gone; see its log, and start it again. {hint}"
    elif "no space left" in told:
        hint = f"Make room where the engine keeps its images: `docker system prune`. {hint}"
    return EngineError(doing, " / ".join(lines) or "it said nothing", hint)


def _last_words(said: list[str]) -> tuple[str, list[str]]:
    """Which step failed, by BuildKit's number (empty for the classic builder), and the end of what was said."""
    for line in reversed(said):
        if failed := _FAILED.match(line):
            output = [match[2] for one in said if (match := _OUTPUT.match(one)) and match[1] == failed[1]]
            return failed[1], [*output[-3:], failed[2]]
    return "", [line.strip() for line in said if line.strip(" -") and not _NOTHING.match(line)][-4:]


def _base(said: list[str], failed: str) -> str:
    """The base that could not be had; empty when it was something else that failed."""
    if failed:
        return next((match[2] for line in said if (match := _BASE.match(line)) and match[1] == failed), "")
    last = next((line for line in reversed(said) if _STEP.match(line)), "")
    found = _BASE.match(last)
    return found[2] if found else ""
