"""What those who run an image can tell of it, as facts that can be compared: each has a name and a value."""

from __future__ import annotations

import functools
import io
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import httpx
from PIL import Image

from celestial_bodies.sample import LOOKS, draw
from celestial_bodies.uploads import MAX_BYTES
from tests.support.engines import Container, Engine

HOME = "/home/bentoml"
BENTO_PATH = f"{HOME}/bento"

Facts = Mapping[str, object]


def differences(one: Facts, other: Facts, known: Mapping[str, str]) -> list[str]:
    """What is against the list of known differences, in words: one that is not in it, or one in it that is none.

    Args:
        one: the facts of an image.
        other: those of another.
        known: patterns of names, and the reasons.
    """
    found = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    unknown = [name for name in sorted(found) if not any(fnmatchcase(name, pattern) for pattern in known)]
    gone = [pattern for pattern in known if not any(fnmatchcase(name, pattern) for name in found)]
    return [f"{name}: {one.get(name)!r} and {other.get(name)!r}" for name in unknown] + [
        f"{pattern} is no difference" for pattern in gone
    ]


def configuration(engine: Engine, image: str) -> Facts:
    """What the engine reads of the image."""
    config: dict[str, Any] = json.loads(engine("inspect", image))[0]["Config"]
    single = ("User", "WorkingDir", "Entrypoint", "Cmd", "Healthcheck", "StopSignal", "Volumes", "Shell", "OnBuild")
    return (
        {key: config.get(key) or None for key in single}
        | {f"port {port}": True for port in config["ExposedPorts"]}
        | {f"variable {name}": value for name, _, value in (line.partition("=") for line in config["Env"])}
        | {f"label {name}": value for name, value in (config.get("Labels") or {}).items()}
    )


def files(engine: Engine, image: str) -> Facts:
    """Type, mode, owner and content of everything in the home, by its path there."""
    script = (
        f"cd {HOME} && find . -printf '%p\\t%y %m %U:%G %l\\n' && echo && "
        "find . -type f -exec sha256sum {} + | sed 's/  /\\t/'"
    )
    with engine.container(image, "--user=0", "--entrypoint=bash", arguments=("-c", script)) as name:
        rights, _, sums = engine("start", "--attach", name).partition("\n\n")
    facts: dict[str, object] = {}
    for line in rights.splitlines():
        path, _, value = line.partition("\t")
        facts[f"{_stable(path)} rights"] = value
    for line in sums.splitlines():
        digest, _, path = line.partition("\t")
        facts[f"{_stable(path)} content"] = digest
    return facts


def _stable(text: str) -> str:
    """A path or a command without the versions in it."""
    return re.sub(r"\b[0-9a-f]{16}\b", "VERSION", text)


def processes(container: Container) -> Facts:
    """The first process: its signals, user, rights and folder; and the commands of all."""
    status = dict(line.split(":\t", 1) for line in container.execute("cat", "/proc/1/status").splitlines())
    kept = ("Uid", "Gid", "Groups", "Umask", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs")
    script = "for process in /proc/[0-9]*; do tr '\\0' ' ' <$process/cmdline; echo; done"
    commands = [line for line in container.execute("bash", "-c", script).splitlines() if script[:20] not in line]
    return {
        **{key: status[key].strip() for key in kept},
        "folder": container.execute("readlink", "/proc/1/cwd"),
        "commands": sorted(command.strip() for command in commands),
    }


@dataclass(frozen=True)
class Ask:
    """A request.

    Args:
        method: its method.
        path: its path.
        options: httpx's, for the rest.
    """

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)


def answers(client: httpx.Client) -> Facts:
    """Status, headers and body of what a service answers."""
    facts: dict[str, object] = {}
    for name, ask in _asks().items():
        response = client.request(ask.method, ask.path, **ask.options)
        body = _families(response.text) if ask.path == "/metrics" else response.content
        facts[f"{name}: status"] = (response.status_code, response.headers.get("content-type"))
        facts[f"{name}: headers"] = sorted({*response.headers} - {"date"})
        facts[f"{name}: body"] = body
    return facts


def _families(metrics: str) -> list[str]:
    return sorted(re.findall(r"^# (?:TYPE|HELP) .*", metrics, re.MULTILINE))


def _asks() -> dict[str, Ask]:
    """What a service may be asked, by names; what counts requests is asked last."""
    saturn = draw("Saturn")
    png = _encoded(saturn, "PNG")
    pictures = {
        **{f"a picture of {body}": _encoded(draw(body), "PNG") for body in LOOKS},
        "a JPEG": _encoded(saturn, "JPEG"),
        "a WebP": _encoded(saturn, "WEBP"),
        "a GIF": _encoded(saturn, "GIF"),
        "a grey picture": _encoded(saturn.convert("L"), "PNG"),
        "a picture with transparency": _encoded(saturn.convert("RGBA"), "PNG"),
        "a picture of one pixel": _encoded(saturn.resize((1, 1)), "PNG"),
        "a wide picture": _encoded(saturn.resize((2000, 20)), "PNG"),
        "a big picture": _encoded(saturn.resize((4000, 3000)), "JPEG"),
        "half a picture": png[: len(png) // 2],
        "no picture": b"stars",
        "an empty file": b"",
        "a file that is too large": bytes(MAX_BYTES + 1),
    }
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    return {
        **{name: Ask("POST", "/predict", {"files": {"image": ("x", data)}}) for name, data in pictures.items()},
        "no body": Ask("POST", "/predict"),
        "another field": Ask("POST", "/predict", {"files": {"picture": ("x", png)}}),
        "two files": Ask("POST", "/predict", {"files": [("image", ("x", png)), ("image", ("y", png))]}),
        "a text": Ask("POST", "/predict", {"data": {"image": "saturn"}}),
        "JSON": Ask("POST", "/predict", {"json": {"image": "saturn"}}),
        "a bare picture": Ask("POST", "/predict", {"content": png, "headers": {"Content-Type": "image/png"}}),
        "a broken form": Ask("POST", "/predict", {"content": b"--y\r\n", "headers": multipart}),
        **{f"{method} on the API": Ask(method, "/predict") for method in ("GET", "HEAD", "PUT", "OPTIONS", "DELETE")},
        **{
            path: Ask("GET", path)
            for path in ("/", "/livez", "/healthz", "/readyz", "/docs.json", "/schema.json", "/docs", "/nowhere")
        },
        "POST on no path": Ask("POST", "/nowhere"),
        "POST on a probe": Ask("POST", "/readyz"),
        "/metrics": Ask("GET", "/metrics"),
    }


def _encoded(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def outcome(engine: Engine, image: str, *arguments: str) -> Facts:
    """What a container says that runs to its end, and its exit code."""
    with engine.container(image, "--hostname=host", arguments=arguments) as name:
        done = subprocess.run(
            [*engine.command, "start", "--attach", name],
            env=engine.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return {"code": done.returncode, "says": sorted(done.stdout.splitlines()), "complains": done.stderr}


def variables(engine: Engine, image: str) -> Facts:
    """The environment of what a container runs."""
    with engine.container(image, "--hostname=host", arguments=("env",)) as name:
        lines = engine("start", "--attach", name).splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


@contextmanager
def half_sent(container: Container) -> Iterator[socket.socket]:
    """A connection over which the first part of a request has been sent."""
    url = container.client.base_url
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        connection.sendall(_request()[0])
        # There is no sign of when the service has begun with it; by now it has, most often.
        time.sleep(0.3)
        yield connection


def answer_to_rest(connection: socket.socket) -> str:
    """Send the other part. Returns: the status line of the answer, or what became of the connection."""
    try:
        connection.sendall(_request()[1])
        return connection.recv(65536).partition(b"\r\n")[0].decode()
    except OSError as error:
        return type(error).__name__


@functools.cache
def _request() -> tuple[bytes, bytes]:
    """A request for a prediction in two parts."""
    client = httpx.Client(base_url="http://localhost")
    request = client.build_request("POST", "/predict", files={"image": ("x.png", _encoded(draw("Saturn"), "PNG"))})
    body = request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    whole = f"POST /predict HTTP/1.1\r\n{head}\r\n".encode() + body
    return whole[:-1000], whole[-1000:]


def after(container: Container, signal: str) -> Facts:
    """What becomes of a container, and of the request it is at, after a signal to it."""
    with half_sent(container) as connection:
        container.engine("kill", "--signal", signal, container.name)
        time.sleep(0.3)
        answer = answer_to_rest(connection)
    if signal == "HUP":  # which means to start over
        deadline = time.monotonic() + 30
        while container.logs().count(" initialized") < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        container.wait()
    else:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([*container.engine.command, "wait", container.name], capture_output=True, timeout=30)
    return {
        "the request": answer,
        "running": container.state("Running"),
        "code": container.state("ExitCode"),
        "complaints": re.findall(r"^.*\[(?:WARNING|ERROR)\].*|^Traceback.*", container.logs(), re.MULTILINE),
    }
