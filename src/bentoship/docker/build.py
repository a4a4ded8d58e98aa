"""BentoML's own containerization, run as its command and watched."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from bentoship.bento import Bento
from bentoship.docker.buildkit import without_buildkit
from bentoship.docker.connection import Engine
from bentoship.errors import EngineError
from bentoship.system.process import environment, stream

_LOST = re.compile(r"error during connect|cannot connect to the docker daemon|unexpected EOF|connection reset", re.I)
# The step that looks for the base, as BuildKit and the classic builder call it.
_BASE = re.compile(r"^(?:#(\d+) \[internal\] load metadata for|Step \d+/\d+ : FROM) (\S+)")
_STEP = re.compile(r"^Step \d+/\d+ : ")
_TRACEBACK = "Traceback (most recent call last)"
# Where the builder's words end and BentoML's own account of them begins.
_AFTERWARDS = re.compile(rf"Encountered exception while trying to build|^{re.escape(_TRACEBACK)}")
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(: |$)")
# Where BentoML puts it in a Bento.
_TEMPLATE = Path("env", "docker", "Dockerfile.template")
# What BuildKit says of a step: its output, with the seconds since it began, and its end.
_OUTPUT = re.compile(r"^#(\d+) \d+\.\d+ (.+)")
_FAILED = re.compile(r"^#(\d+) ERROR: (.+)")
# Colours, and the level that BentoML's log puts before what the classic builder says, or before nothing.
_ORNAMENT = re.compile(r"\x1b\[[0-9;]*m|^(INFO|ERROR):$|^INFO: ")
_SETTLE = 1.0
"""Seconds that an engine may take to end the step that it is at."""
_NOTHING = re.compile(r"Removing intermediate container ")
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
    classic = without_buildkit(engine, env)
    log.parent.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    # BentoML takes a template only from below the folder that it runs in, and from no hidden one, as caches are.
    template = (bento.path / _TEMPLATE).exists()
    said: list[str] = []
    afterwards: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="build-", dir=None if template else scratch) as folder,
        log.open("w", encoding="utf-8") as file,
    ):

        def hear(line: str) -> None:
            line = _ORNAMENT.sub("", line)
            if not line.strip():
                return
            print(line, file=file, flush=True)
            if afterwards or _AFTERWARDS.search(line):
                afterwards.append(line)
            else:
                said.append(line)
                tell(line)

        extra = {
            "DOCKER_BUILDKIT": "0" if classic else "1",
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
        options += ["--opt", "force-rm"] if classic else []
        command = [sys.executable, "-P", "-m", "bentoml", "containerize", bento.tag, "--image-tag", name]
        command += ["--backend", "docker", *options]
        builder = f"the classic builder, because {classic}," if classic else "BuildKit"
        tell(f"with {builder} at {engine.place.host}")
        try:
            code = stream(command, env={**env, **extra}, cwd=Path(folder) if template else None, on_line=hear)
        except BaseException:
            _clear(engine, said)
            raise
    if code != 0:
        _clear(engine, said)
        raise _failure(bento, said, _given_up(afterwards), log, engine.place.host)


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


def _given_up(afterwards: list[str]) -> list[str]:
    """The exception by which BentoML ended before there was anything to build; nothing when the builder failed."""
    if not afterwards or not afterwards[0].startswith(_TRACEBACK):
        return []
    begins = max((number for number, line in enumerate(afterwards) if _EXCEPTION.match(line)), default=-1)
    return afterwards[begins:]


def _failure(bento: Bento, said: list[str], given_up: list[str], log: Path, host: str) -> EngineError:
    failed, lines = ("", given_up) if given_up else _last_words(said)
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
    # What went before the step that failed has nothing to do with it.
    last = list(takewhile(lambda line: not _STEP.match(line), reversed(said)))[::-1]
    return "", [line.strip() for line in last if line.strip(" -") and not _NOTHING.match(line)][-4:]


def _base(said: list[str], failed: str) -> str:
    """The base that could not be had; empty when it was something else that failed."""
    if failed:
        return next((match[2] for line in said if (match := _BASE.match(line)) and match[1] == failed), "")
    last = next((line for line in reversed(said) if _STEP.match(line)), "")
    found = _BASE.match(last)
    return found[2] if found else ""
