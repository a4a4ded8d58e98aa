"""Files and servers that mean harm: each has to be refused with one clear error, soon, and without much memory."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bentoship.image.descriptor import CONFIG, INDEX, LAYER_GZIP, MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support import registry as registries
from tests.support.archives import sparse_tar
from tests.support.bento import make_project
from tests.support.images import put
from tests.support.servers import answering, endless

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
DEEP = "[" * 100_000
ESCAPES = "\x1b[2J\x1b]0;title\x07"
GIGABYTE = 1 << 30
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"
SECONDS = 120.0
"""After which an attempt counts as one without an end."""


@dataclass(frozen=True)
class Attempt:
    """A command with hostile input.

    Args:
        command: the task.
        env: what is set for it.
    """

    command: str
    env: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt.

    Args:
        fault: what is wrong with how it was refused; empty for nothing.
        said: what was printed.
        seconds: how long it took.
        memory: the peak of its largest process, in bytes.
    """

    fault: str
    said: str
    seconds: float
    memory: int


Prepare = Callable[[Path], Iterator[Attempt]]


def _written(name: str, content: bytes | str, command: str = "build") -> Prepare:
    """Have a file of the project be this. Args: name: in the project; content: of it."""

    def prepare(project: Path) -> Iterator[Attempt]:
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        yield Attempt(command, {})

    return prepare


def _long(name: str, beginning: str) -> Prepare:
    """Have a file of the project begin like this and be a gigabyte of zeros, of which nothing is stored."""

    def prepare(project: Path) -> Iterator[Attempt]:
        with (project / name).open("wb") as stream:
            stream.write(beginning.encode())
            stream.truncate(GIGABYTE)
        yield Attempt("build", {})

    return prepare


def _account(content: bytes) -> Prepare:
    """Have Docker's configuration be this, and a registry ask for an account."""

    def prepare(project: Path) -> Iterator[Attempt]:
        (project / "docker").mkdir()
        (project / "docker" / "config.json").write_bytes(content)
        with answering(401, {"WWW-Authenticate": "Basic"}) as server:
            yield Attempt("auth", {"REGISTRY": f"{server.host}/acme", "DOCKER_CONFIG": str(project / "docker")})

    return prepare


def _known(host: str) -> dict[str, str]:
    """Return the variable with an account for a registry."""
    return {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {host: {"auth": "YTpi"}}})}


def _registry(status: int, headers: dict[str, str], body: bytes | None = None) -> Prepare:
    """Have a registry answer like this. Args: body: of its answers; None for one without an end."""

    def prepare(project: Path) -> Iterator[Attempt]:
        with endless(status, headers) if body is None else answering(status, headers, body) as server:
            yield Attempt("auth", {**_known(server.host), "REGISTRY": f"{server.host}/acme", "RETRY_SECONDS": "0"})

    return prepare


def _token_server(headers: dict[str, str]) -> Prepare:
    """Have a token server send tokens without an end."""

    def prepare(project: Path) -> Iterator[Attempt]:
        with endless(200, headers) as server:
            challenge = {"WWW-Authenticate": f'Bearer realm="http://{server.host}/",service="x"'}
            with answering(401, challenge) as registry:
                yield Attempt(
                    "auth", {**_known(registry.host), "REGISTRY": f"{registry.host}/acme", "RETRY_SECONDS": "0"}
                )

    return prepare


def _base(config: object = None, tar: bytes = b"", *, index: object = None) -> Prepare:
    """Have a real registry serve a base image.

    Args:
        config: its configuration.
        tar: its only layer, before it is compressed.
        index: what is served in place of the image.
    """

    def prepare(project: Path) -> Iterator[Attempt]:
        with registries.running(project / "registry") as registry:
            store = RegistryStore(ImageReference(registry.host, "hostile/base"), push=True)
            layer = put(store, LAYER_GZIP, gzip.compress(tar))
            content = config if isinstance(config, bytes) else json.dumps(config or CONFIGURATION).encode()
            document = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": put(store, CONFIG, content).to_dict(),
                "layers": [layer.to_dict()],
            }
            root = put(store, MANIFEST, json.dumps(document).encode())
            if index is not None:
                root = put(store, INDEX, json.dumps(_listing(index, root)).encode())
            store.tag(root, "latest")
            yield Attempt("containerize", {"BASE_IMAGE": f"{store.repository}:latest", "RETRY_SECONDS": "0"})

    return prepare


def _listing(platform: object, image: Descriptor) -> object:
    entry = {**image.to_dict(), "platform": platform}
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}


CONFIGURATION = {
    "os": "linux",
    "architecture": "amd64",
    "config": {},
    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"]},
}


def _tar(*members: tuple[str, bytes, str]) -> bytes:
    """Return a tar of members with these names, kinds and targets of links."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return stream.getvalue()


def _model(text: str) -> bytes:
    """Return an archive with this model.yaml."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        member = tarfile.TarInfo("model.yaml")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


REFUSAL = json.dumps({"errors": [{"code": "DENIED", "message": f"no {ESCAPES}"}]}).encode()

CIRCLE = _tar(("a", tarfile.SYMTYPE, "b"), ("b", tarfile.SYMTYPE, "a"))

INPUTS: dict[str, Prepare] = {
    "service: an error with escapes": _written("service.py", f"raise ValueError({ESCAPES!r})"),
    "source: a key in a file with escapes in its name": _written(f"data/{ESCAPES}\n.pem", KEY),
    "bentofile.yaml: aliases of billions": _written("bentofile.yaml", f"service: service:Echo\n{LAUGHS}"),
    "bentofile.yaml: an alias of itself": _written("bentofile.yaml", "service: &a [*a]"),
    "bentofile.yaml: nested 100,000 deep": _written("bentofile.yaml", f"service: {DEEP}"),
    "bentofile.yaml: 1 GB": _long("bentofile.yaml", "service: service:Echo\n#"),
    "bentofile.yaml: not UTF-8": _written("bentofile.yaml", b"service: \xff"),
    "bentofile.yaml: escapes for a terminal": _written("bentofile.yaml", f'service: "{ESCAPES!r}"'.replace("'", "")),
    ".env: 1 GB": _long(".env", "A=b\n"),
    ".env: NUL": _written(".env", "A=b\0c\n"),
    ".env: not UTF-8": _written(".env", b"A=\xff\n"),
    "requirements: a device": _written("requirements.txt", "-r /dev/zero\n"),
    "requirements: an encoding that is none": _written("requirements.txt", "# coding: undefined\nsix\n"),
    "requirements: escapes for a terminal": _written("requirements.txt", f"-r {ESCAPES}\n"),
    "model: aliases of billions": _written("model/a.bentomodel", _model(LAUGHS)),
    "model: nested 400,000 deep": _written("model/a.bentomodel", _model("- " * 400_000)),
    "model: 4 EB of zeros": _written("model/a.bentomodel", sparse_tar("a")),
    "model: links in a circle": _written("model/a.bentomodel", CIRCLE),
    "model: outside": _written("model/a.bentomodel", _tar(("../../a", tarfile.REGTYPE, ""))),
    "model: a name of 5,000 characters": _written("model/a.bentomodel", _tar(("a" * 5000, tarfile.DIRTYPE, ""))),
    "accounts: nested deeply": _account(DEEP.encode()),
    "accounts: not UTF-8": _account(b'{"auths": "\xff"}'),
    "accounts: 2 MB": _account(b'{"auths": {}' + b" " * (2 << 20) + b"}"),
    "accounts: a helper with NUL in its name": _account(b'{"credsStore": "a\\u0000b"}'),
    "registry: errors without an end": _registry(500, {}),
    "registry: escapes for a terminal": _registry(401, {"WWW-Authenticate": "Basic"}, REFUSAL),
    "registry: errors nested deeply": _registry(503, {}, DEEP.encode()),
    "registry: a token server at no address": _registry(401, {"WWW-Authenticate": 'Bearer realm="http://["'}, b""),
    "registry: tokens without an end": _token_server({}),
    "base: a layer of zeros": _base(tar=bytes(600 << 20)),
    "base: a file of 4 EB": _base(tar=sparse_tar("a")),
    "base: a whiteout of what is above": _base(tar=_tar((".wh...", tarfile.REGTYPE, ""))),
    "base: a file outside": _base(tar=_tar(("../../a", tarfile.REGTYPE, ""))),
    "base: a configuration nested deeply": _base(config=DEEP.encode()),
    "base: a configuration of numbers": _base(config={**CONFIGURATION, "config": {"Env": [1, 2]}}),
    "base: a platform with escapes": _base(index={"os": ESCAPES, "architecture": "amd64"}),
}
"""What is tried, by what it is."""


@contextmanager
def _place() -> Iterator[Path]:
    """Make a project in a folder of its own, with a home and caches beside it."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        make_project(Path(folder, "project"))
        yield Path(folder, "project")


def tried(prepare: Prepare) -> Outcome:
    """Run a command with hostile input, and return what became of it."""
    with _place() as project, contextmanager(prepare)(project) as attempt:
        folder = project.parent
        own = {name: str(folder / name.lower()) for name in ("HOME", "XDG_CACHE_HOME", "BENTOML_HOME")}
        env = {**os.environ, **own, **attempt.env}
        command = [sys.executable, "-m", "bentoship", attempt.command]
        with (folder / "said").open("w+b") as said:
            began = time.monotonic()
            child = subprocess.Popen(command, cwd=project, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            killing = threading.Timer(SECONDS, child.kill)
            killing.start()
            _, status, usage = os.wait4(child.pid, 0)  # of the process and of its own children
            child.returncode = os.waitstatus_to_exitcode(status)
            killing.cancel()
            seconds = time.monotonic() - began
            said.seek(0)
            text = said.read().decode("utf-8", "backslashreplace")
    return Outcome(_fault(child.returncode, text), text, seconds, usage.ru_maxrss << 10)


def _fault(code: int, said: str) -> str:
    """Return what is wrong with how an input was refused."""
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    if code != 1:
        return f"exit code {code}"
    if "Traceback" in said or "bug in bentoship" in said:
        return "not one of our errors"
    if len(errors) != 1:
        return f"{len(errors)} errors"
    return "" if all(letter.isprintable() or letter == "\n" for letter in said) else "letters that move a cursor"


def report(options: argparse.Namespace) -> None:
    """Try each hostile input with a real command, and print what became of it."""
    print("\nhostile input")
    outcomes = {}
    for name, prepare in INPUTS.items():
        outcomes[name] = one = tried(prepare)
        print(f"{name:<42} {one.seconds:>5.1f} s {one.memory / 1e6:>6.0f} MB  {one.fault or 'refused'}", flush=True)
        if one.fault:
            print("".join(f"  {line}\n" for line in one.said.splitlines()[-6:]), end="", flush=True)
    refused = sum(not one.fault for one in outcomes.values())
    seconds, memory = max(one.seconds for one in outcomes.values()), max(one.memory for one in outcomes.values())
    worst = f"at most {seconds:.1f} s and {memory / 1e6:.0f} MB"
    print(f"tried {len(outcomes)}, refused with one clear error {refused}; {worst}")
