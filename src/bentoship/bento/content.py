"""What of a Bento goes into an image, free of everything that differs between two builds of the same sources."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bentoship.packages.requirements import portable_lines

# A time says when, not what; BentoML reads it back, so there must be one.
EPOCH = "1980-01-02T00:00:00+00:00"

# What serving does not read. apis/ repeats the version; the packages are in layers of their own.
LEFT_OUT = ("apis", "env/python", "env/docker/Dockerfile", "models")


def image_files(bento: Path, *, version: str | None = None) -> dict[str, Path | bytes]:
    """The files of a Bento that go into an image, by their path below BENTO_PATH.

    Args:
        bento: a Bento's folder.
        version: put this in place of the version in bento.yaml; for telling what a Bento is before it has one.

    Returns: files on this machine, and the bytes of bento.yaml and README.md, which are rewritten. Links that lead to a
    file are followed, since what they point at is not in the image; links that lead nowhere are left out.
    """
    files: dict[str, Path | bytes] = {}
    for path in sorted(bento.rglob("*")):
        name = path.relative_to(bento).as_posix()
        if path.is_file() and not any(name == left or name.startswith(f"{left}/") for left in LEFT_OUT):
            files[name] = path
    info = yaml.safe_load((bento / "bento.yaml").read_text("utf-8"))
    version = info["version"] if version is None else version
    files["bento.yaml"] = _normalised(info, version)
    if "README.md" in files:
        files["README.md"] = titled((bento / "README.md").read_bytes(), info["version"], version)
    return files


def content_version(bento: Path) -> str:
    """The version of a Bento: 16 hex digits that change when, and only when, what is packed changes."""
    digest = hashlib.sha256()
    for name, content in image_files(bento, version="").items():
        body = content if isinstance(content, bytes) else content.read_bytes()
        executable = isinstance(content, Path) and bool(content.stat().st_mode & 0o100)
        digest.update(os.fsencode(f"{name}\0{executable:d}\0{hashlib.sha256(body).hexdigest()}\n"))
    return digest.hexdigest()[:16]


def stored_state(bento: Path) -> str:
    """A hash over all files of a Bento in the store, 64 hex digits, which another build of the same sources does not
    change; its lock does, which may differ where the docker backend makes images for one platform after the other."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(bento):
        folders[:] = sorted(name for name in folders if name != "apis")  # they name the version that it was built as
        for name in sorted(names):
            file = Path(folder, name)
            content = re.sub(rb"(?m)^creation_time: .*", b"", file.read_bytes()) if file.is_file() else b""
            shown = f"{file.relative_to(bento)}\0{file.lstat().st_mode}\0{hashlib.sha256(content).hexdigest()}\n"
            digest.update(os.fsencode(shown))
    return digest.hexdigest()


def titled(readme: bytes, former: str, version: str) -> bytes:
    """A Bento's README, which its service shows as its description, with another version in the title.

    The title is BentoML's own (get_default_svc_readme in bentoml/_internal/bento/bento.py); others stay as they are.
    """
    return re.sub(
        rb"\A(# .+:)%s$" % re.escape(former.encode()), rb"\g<1>" + version.encode(), readme, flags=re.MULTILINE
    )


def _normalised(info: Mapping[str, Any], version: str) -> bytes:
    info = {**info, "creation_time": EPOCH, "version": version}
    if "image" in info:
        lines = portable_lines(info["image"].get("python_requirements", ""))
        info["image"] = {**info["image"], "python_requirements": "".join(f"{line}\n" for line in lines)}
    return yaml.safe_dump(info, sort_keys=False, allow_unicode=True).encode()
