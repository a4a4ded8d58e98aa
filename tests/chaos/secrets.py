"""Secrets in all places where users put them, and the search for them wherever a publish could leave one."""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bentoship.providers.local import LocalRegistry
from bentoship.system.parallel import repeating
from tests.support import dockerd
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.bento import edit
from tests.support.cache import with_packages
from tests.support.proxy import Fault
from tests.support.registry import PASSWORD, USER
from tests.support.servers import private_index
from tests.support.site import Site, echo_site

PLANTED = {
    name: f"planted-{number:02}-correct-horse"
    for number, name in enumerate(
        [
            *("a variable of the user's", "a line of .env", "AWS", "Google's access token", "Google's key file"),
            *("a key in place of its path", "Docker's configuration", "DOCKER_AUTH_CONFIG", "podman's accounts"),
            *("a refused account", "UV_INDEX", "UV_INDEX_ACME_PASSWORD", "PIP_INDEX_URL", "the requirements"),
            *("REGISTRY", "BASE_IMAGE", "GCP_API_ENDPOINT", "a proxy", "a git remote", ".netrc"),
            "a signed URL",
        ]
    )
}
"""A secret for each place. The registry's own password, which a credential helper returns, is one more."""

_WANTED = {name: text.encode() for name, text in PLANTED.items()} | {
    "the registry's password": PASSWORD.encode(),
    "the registry's account, encoded": base64.b64encode(f"{USER}:{PASSWORD}".encode()),
}
_ANY = re.compile(b"|".join(re.escape(text) for text in _WANTED.values()))

_HELPER = """#!/bin/sh
read -r host
echo '{{"Username": "{user}", "Secret": "{secret}"}}'
"""

_RUNS_FOREIGN_CODE = (b"bentoship.bento.child", b"bytecode_worker.py")
"""What the command lines of processes name that run the service's or a base's code."""


@dataclass
class Found:
    """Where secrets were found: pairs of a place and the name of a secret; and what was searched, to show that it was.

    Args:
        secrets: the pairs.
        searched: how often something was searched, by the kind of place.
    """

    secrets: set[tuple[str, str]] = field(default_factory=set)
    searched: dict[str, int] = field(default_factory=dict)

    def search(self, kind: str, place: str, content: bytes) -> None:
        """Search a content."""
        self.searched[kind] = self.searched.get(kind, 0) + 1
        for match in {match[0] for match in _ANY.finditer(content)}:
            self.secrets |= {(f"{kind}: {place}", name) for name, text in _WANTED.items() if text == match}


def search_files(found: Found, kind: str, folder: Path) -> None:
    """Search all files below a folder, their names, and what is compressed in them: the layers of images."""
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            found.search(kind, str(file), str(file).encode() + b"\n" + content)
            if content.startswith(b"\x1f\x8b"):
                found.search(f"{kind}, unpacked", str(file), _unpacked(content))


def _unpacked(content: bytes) -> bytes:
    pieces = []
    while content.startswith(b"\x1f\x8b"):
        inflate = zlib.decompressobj(31)
        pieces.append(inflate.decompress(content))
        content = inflate.unused_data
    return b"".join(pieces)


@contextmanager
def watching(found: Found, mark: bytes) -> Iterator[None]:
    """Search command lines, and the environments of processes that run foreign code, as long as the block lasts.

    Args:
        found: takes what is found.
        mark: stands in the environment of the processes.
    """

    def look() -> None:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command, env = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:  # it has ended, or is another user's
                continue
            found.search("command lines", repr(command[:60]), command)
            if b"BENTOML_CONTAINERIZED=" in env:
                found.search("environments of images", repr(command[:60]), env)
            if mark in env and any(name in command for name in _RUNS_FOREIGN_CODE):
                found.search("environments of foreign code", repr(command[:60]), env)

    with repeating(look, 0.05):
        yield


@dataclass(frozen=True)
class Lab:
    """A user with secrets in all places, and a registry and an index that ask for theirs.

    Args:
        site: the user's project and folders.
        registry: the registry behind the proxy.
        proxy: what the project publishes to.
    """

    site: Site
    registry: registries.Registry
    proxy: proxies.Proxy


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """A user's machine. Args: folder: an empty one."""
    with ExitStack() as stack:
        registry = stack.enter_context(registries.running(folder / "registry", password=True))
        proxy = stack.enter_context(proxies.before(registry.host))
        index = stack.enter_context(private_index(folder / "index", PLANTED["UV_INDEX"]))
        signed = stack.enter_context(private_index(folder / "signed", PLANTED["a signed URL"]))
        cache = folder / "state" / "cache"
        (cache / "bentoship").mkdir(parents=True)
        with_packages(cache / "bentoship")
        site = echo_site(folder / "site", cache)
        _plant(site, proxy.host, signed.removesuffix("simple"))
        yield Lab(replace(site, settings=_settings(folder, site, proxy.host, index)), registry, proxy)


def _plant(site: Site, registry: str, signed: str) -> None:
    """Put secrets into the files of a user. Args: signed: where a wheel is for who has the token of its URL."""
    docker = {"auths": {"other.invalid": {"username": "ann", "password": PLANTED["Docker's configuration"]}}}
    texts = {
        site.home / ".docker" / "config.json": json.dumps({**docker, "credHelpers": {registry: "planted"}}),
        site.home / ".config" / "containers" / "auth.json": json.dumps(
            {"auths": {"another.invalid": {"identitytoken": PLANTED["podman's accounts"]}}}
        ),
        site.home / ".netrc": f"machine elsewhere.invalid login ann password {PLANTED['.netrc']}\n",
        site.home / "key.json": json.dumps({"type": "service_account", "private_key": PLANTED["Google's key file"]}),
        site.folder / ".env": f"SHOP_TOKEN={PLANTED['a line of .env']}\n",
    }
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    remote = f"https://ann:{PLANTED['a git remote']}@git.invalid/shop.git"
    for command in (["init", "-q"], ["remote", "add", "origin", remote]):
        subprocess.run(["git", *command], cwd=site.folder, check=True)
    edit(site.folder / "bentofile.yaml", "lock_packages: false", "lock_packages: true")
    requirements = site.folder / "requirements.txt"
    address = f"--find-links https://ann:{PLANTED['the requirements']}@links.invalid/"
    wheel = f"tooly @ http://{signed}signed/tooly-1.0-py3-none-any.whl?token={PLANTED['a signed URL']}"
    requirements.write_text(f"{requirements.read_text()}toolx\n# {address}\n{wheel}\n")


def _settings(folder: Path, site: Site, registry: str, index: str) -> dict[str, str]:
    set_helper(folder, PASSWORD)
    return {
        "PATH": f"{folder / 'bin'}:{site.env['PATH']}",
        "REGISTRY": f"http://{registry}/acme",
        "BENTOML_HOME": str(folder / "state" / "bentoml"),
        "BENTOSHIP_DEBUG": "1",
        "ACME_SECRET": PLANTED["a variable of the user's"],
        "AWS_SECRET_ACCESS_KEY": PLANTED["AWS"],
        "GOOGLE_OAUTH_ACCESS_TOKEN": PLANTED["Google's access token"],
        "GOOGLE_APPLICATION_CREDENTIALS": str(site.home / "key.json"),
        "DOCKER_AUTH_CONFIG": json.dumps({"auths": {"third.invalid": {"auth": PLANTED["DOCKER_AUTH_CONFIG"]}}}),
        "UV_INDEX": f"http://ann:{PLANTED['UV_INDEX']}@{index}",
        "UV_INDEX_ACME_PASSWORD": PLANTED["UV_INDEX_ACME_PASSWORD"],
        "PIP_INDEX_URL": f"https://ann:{PLANTED['PIP_INDEX_URL']}@pip.invalid/simple",
        "HTTPS_PROXY": f"http://ann:{PLANTED['a proxy']}@proxy.invalid:3128",
        "NO_PROXY": "*",
    }


def set_helper(folder: Path, secret: str) -> None:
    """Have the credential helper return a password."""
    helper = folder / "bin" / "docker-credential-planted"
    helper.parent.mkdir(exist_ok=True)
    helper.write_text(_HELPER.format(user=USER, secret=secret))
    helper.chmod(0o755)


def _rejected(lab: Lab) -> dict[str, str]:
    lab.proxy.faults.append(Fault("POST|PUT|PATCH", times=1000, status=403, body=b"{}"))
    return {}


def _refused_account(lab: Lab) -> dict[str, str]:
    set_helper(lab.site.folder.parents[1], PLANTED["a refused account"])
    return {}


def _unresolved(lab: Lab) -> dict[str, str]:
    requirements = lab.site.folder / "requirements.txt"
    requirements.write_text(
        f"--extra-index-url http://ann:{PLANTED['the requirements']}@127.0.0.1:9/simple\n"
        f"--find-links http://127.0.0.1:9/?sp=r&sig={PLANTED['a signed URL']}\ntoolx==77\n"
    )
    return {"UV_HTTP_RETRIES": "0"}


def _raising(lab: Lab) -> dict[str, str]:
    service = lab.site.folder / "service.py"
    service.write_text(
        f"import os\nprint(dict(os.environ))\nraise RuntimeError(dict(os.environ))\n{service.read_text()}"
    )
    return {}


def _with_docker(lab: Lab) -> dict[str, str]:
    edit(lab.site.folder / "bentofile.yaml", '  python_version: "3.11"', "  base_image: bentoship-tests/base:latest")
    return {"BACKEND": "docker"}


def _key_in_place(lab: Lab) -> dict[str, str]:
    key = json.dumps({"type": "service_account", "private_key": PLANTED["a key in place of its path"]})
    return {**_GOOGLE, "GOOGLE_APPLICATION_CREDENTIALS": key}


_GOOGLE = {
    "REGISTRY": "google",
    "GCP_PROJECT_ID": "planted-project",
    "GCP_CONTAINER_REGISTRY_NAME": "shop",
    "GCP_CONTAINER_REGISTRY_LOCATION": "europe-west6",
}

CASES: Mapping[str, Callable[[Lab], Mapping[str, str]]] = {
    "success": lambda _: {},
    "it is verified": lambda _: {},
    "Docker builds": _with_docker,
    "the registry refuses": _rejected,
    "the account is refused": _refused_account,
    "the base is missing": lambda lab: {"BASE_IMAGE": f"{lab.proxy.host}/no/base:1"},
    "a requirement does not resolve": _unresolved,
    "the service raises": _raising,
    "a wrong REGISTRY": lambda lab: {"REGISTRY": f"http://ann:{PLANTED['REGISTRY']}@{lab.proxy.host}/acme"},
    "a wrong BASE_IMAGE": lambda _: {"BASE_IMAGE": f"https://ann:{PLANTED['BASE_IMAGE']}@base.invalid/python:3.11"},
    "a wrong GCP_API_ENDPOINT": lambda _: {
        **_GOOGLE,
        "GCP_API_ENDPOINT": f"http://ann:{PLANTED['GCP_API_ENDPOINT']}@127.0.0.1:9",
    },
    "a key in place of its path": _key_in_place,
    "an unusable key file": lambda _: _GOOGLE,
}
"""What happens, by name: functions that prepare it and return further settings."""


TASKS = {"it is verified": ("publish", "verify")}
"""What is run in a case; elsewhere, publish alone."""

SUCCEEDING = frozenset({"success", "it is verified"})
"""The cases with exit code 0; a container in which Docker builds has no password of an index."""


@contextmanager
def engine(name: str) -> Iterator[dict[str, str]]:
    """The settings that name an engine of a case's own, if it needs one. Raises: pytest's Skipped where none runs."""
    if name != "Docker builds":
        yield {}
        return
    with dockerd.running() as daemon:
        dockerd.bentoml_base(daemon.engine)
        yield {"DOCKER_HOST": daemon.host}


def publish(lab: Lab, name: str) -> tuple[Found, subprocess.CompletedProcess[str]]:
    """Publish in one of the cases, and search for secrets meanwhile and afterwards."""
    found, folder = Found(), lab.site.folder.parents[1]
    settings = CASES[name](lab)
    with engine(name) as further, watching(found, str(lab.site.home).encode()):
        done = lab.site.invoke(*TASKS.get(name, ("publish",)), **settings, **further)
    found.search("output", "stdout", done.stdout.encode())
    found.search("output", "stderr", done.stderr.encode())
    search_files(found, "caches and records", lab.site.cache / "bentoship")
    search_files(found, "the Bento store", folder / "state" / "bentoml")
    search_files(found, "the layout", lab.site.folder / ".bentoship")
    search_files(found, "the registry's storage", lab.registry.data)
    found.search("the registry's log", "log", (folder / "registry" / "log").read_bytes())
    LocalRegistry(lab.site.cache / "bentoship").stop()
    return found, done


def report(options: argparse.Namespace) -> None:
    """Publish with secrets in all places, once for each case, and print where they were found."""
    print(f"\nsecrets: {len(_WANTED)} planted: {', '.join(_WANTED)}")
    print(f"{'case':<32} {'exit':>4} {'searched':>8} {'found':>5}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        kept: Path | None = None
        for number, name in enumerate(CASES):
            place = Path(folder, str(number))
            place.mkdir()
            with lab(place) as user:
                if kept:  # bases and packages are made once
                    own = shutil.ignore_patterns("apt", "bentos")
                    shutil.copytree(kept, user.site.cache, symlinks=True, dirs_exist_ok=True, ignore=own)
                try:
                    found, done = publish(user, name)
                except pytest.skip.Exception as skipped:
                    print(f"{name:<32} skipped: {skipped}")
                    continue
                print(f"{name:<32} {done.returncode:>4} {sum(found.searched.values()):>8} {len(found.secrets):>5}")
                for where, secret in sorted(found.secrets):
                    print(f"  {secret} in {where}", flush=True)
                if number == 0:
                    print("  searched " + ", ".join(f"{count} {kind}" for kind, count in found.searched.items()))
                    kept = user.site.cache
