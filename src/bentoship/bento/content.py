"""What of a Bento goes into an image, free of all that differs between two builds, and the version that it gives."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from bentoship.packages.requirements import portable_lines
from bentoship.system.documents import LIST, read_yaml
from bentoship.system.files import close_to_others, file_lock, private_folder, temporary_folder, write_whole
from bentoship.system.urls import without_secrets

# A time says when, not what; BentoML reads it back, so there must be one.
EPOCH = "1980-01-02T00:00:00+00:00"

# What serving does not read. apis/ repeats the version; the packages are in layers of their own.
# The slash ends a name: no other one that begins alike is meant.
LEFT_OUT = ("apis/", "env/python/", "env/docker/Dockerfile/", "models/")


def image_files(bento: Path, *, version: str | None = None) -> dict[str, Path | bytes]:
    """Return the files of a Bento that go into an image, by their path below BENTO_PATH.

    Args:
        bento: a Bento's folder.
        version: put this in place of the version in bento.yaml; for a Bento that has none yet.

    Returns: files on this machine, and the bytes of bento.yaml and README.md, which are rewritten. Links that lead to a
    file are followed, since what they point at is not in the image; links that lead nowhere are left out.
    """
    paths = {path.relative_to(bento).as_posix(): path for path in sorted(bento.rglob("*")) if path.is_file()}
    files: dict[str, Path | bytes] = {name: path for name, path in paths.items() if not f"{name}/".startswith(LEFT_OUT)}
    info = read_yaml(bento / "bento.yaml", yaml.SafeLoader, LIST)
    version = info["version"] if version is None else version
    files["bento.yaml"] = _normalised(info, version)
    if "README.md" in files:
        files["README.md"] = retitle((bento / "README.md").read_bytes(), info["version"], version)
    return files


def wrong_links(bento: Path) -> Iterator[str]:
    """Yield why links in a Bento, by their paths in it, cannot be packed: they lead out of it, or nowhere."""
    root = os.path.realpath(bento)
    for folder, folders, names in os.walk(root):
        for path in sorted(os.path.join(folder, name) for name in (*folders, *names)):  # noqa: PTH118  # texts
            name = os.path.relpath(path, root)
            if not os.path.islink(path) or f"{name}/".startswith(LEFT_OUT):  # noqa: PTH114
                continue
            target = os.path.realpath(path)
            if not os.path.exists(target):  # noqa: PTH110
                yield f"{name} is a link that leads to no file ({os.readlink(path)})"  # noqa: PTH115
            elif not f"{target}/".startswith(f"{root}/"):
                yield f"{name} is a link that leads out of the Bento ({target})"


def content_version(bento: Path) -> str:
    """Return a Bento's version: 16 hex digits that change when, and only when, what is packed changes."""
    digest = hashlib.sha256()
    for name, content in image_files(bento, version="").items():
        body = content if isinstance(content, bytes) else content.read_bytes()
        executable = isinstance(content, Path) and bool(content.stat().st_mode & 0o100)
        digest.update(os.fsencode(f"{name}\0{executable:d}\0{hashlib.sha256(body).hexdigest()}\n"))
    return digest.hexdigest()[:16]


def store_by_content(bento: Path, store: Path) -> Path:
    """Move a Bento into a store, as the latest, under the version that its content gives it; return its folder there.

    Args:
        bento: its folder, NAME/ANYTHING, which has the version that it was built as in its files.
        store: BentoML's folder of Bentos, with NAME/VERSION for each.
    """
    version = content_version(bento)
    info, readme = bento / "bento.yaml", bento / "README.md"
    text = info.read_text("utf-8")
    readme.write_bytes(retitle(readme.read_bytes(), read_yaml(info, yaml.SafeLoader, LIST)["version"], version))
    now = datetime.now(timezone.utc).isoformat()  # noqa: UP017  # the alias came with Python 3.11
    # In quotes: sixteen digits would be a number to YAML.
    for key, value in {"version": version, "creation_time": now}.items():
        text = re.sub(rf"(?m)^{key}: .*$", f"{key}: '{value}'", text, count=1)
    info.write_text(text, "utf-8")
    close_to_others(bento)
    path = store / bento.parent.name / version
    own = store.parent / "bentoship"
    # Several caches may have one store. What is there already has the same content, unless it was damaged since, and
    # another run may be reading it.
    with file_lock(own / "store.lock"):
        if not path.is_dir() or stored_state(path) != stored_state(bento):
            with temporary_folder(own, "bento-", wait=True) as folder:  # on the disk of the store
                shutil.move(bento, folder / "new")
                private_folder(path.parent)
                if os.path.lexists(path):
                    path.rename(folder / "old")
                (folder / "new").rename(path)
        write_whole(path.with_name("latest"), version.encode())
    return path


def stored_state(bento: Path) -> str:
    """Return a hash over all files of a Bento in the store, 64 hex digits, the same for all builds of the same sources.

    Its lock counts, which may differ where the docker backend makes images for one platform after the other.
    """
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(bento):
        folders[:] = sorted(name for name in folders if name != "apis")  # they name the version that it was built as
        for name in sorted(names):
            file = Path(folder, name)
            content = re.sub(rb"(?m)^([ -]*)creation_time: .*", rb"\1", file.read_bytes()) if file.is_file() else b""
            entry = f"{file.relative_to(bento)}\0{file.lstat().st_mode}\0{hashlib.sha256(content).hexdigest()}\n"
            digest.update(os.fsencode(entry))
    return digest.hexdigest()


def retitle(readme: bytes, former: str, version: str) -> bytes:
    """Return a Bento's README, which its service shows as its description, with another version in the title.

    The title is BentoML's own (get_default_svc_readme in bentoml/_internal/bento/bento.py); others stay as they are.
    """
    return re.sub(
        rb"\A(# .+:)%s$" % re.escape(former.encode()), rb"\g<1>" + version.encode(), readme, flags=re.MULTILINE
    )


def _normalised(info: dict[str, Any], version: str) -> bytes:
    for model in _models_of_hubs(info):
        model["creation_time"] = EPOCH
    info = {**info, "creation_time": EPOCH, "version": version}
    if described := (info.get("schema") or {}).get("description"):
        # A docstring, which has its indent before Python 3.13, whose compiler strips it.
        info["schema"] = {**info["schema"], "description": inspect.cleandoc(described)}
    if "python" in info:  # BentoML's first format
        info["python"] = yaml.safe_load(without_secrets(yaml.safe_dump(info["python"])))
    if "image" in info:
        required = portable_lines(info["image"].get("python_requirements", ""))
        lines = (f"{without_secrets(line)}\n" for line in required)
        info["image"] = {**info["image"], "python_requirements": "".join(lines)}
    return yaml.safe_dump(info, sort_keys=False, allow_unicode=True).encode()


def _models_of_hubs(part: Any) -> Iterator[dict[str, Any]]:
    """Yield what a bento.yaml, or a part of it, says of models that a hub has.

    Their creation time is that of the build (to_info in _bentoml_sdk/models/huggingface.py); a model of the model store
    has the time at which it was saved.
    """
    if isinstance(part, dict) and "creation_time" in part and part.get("registry", "bentoml") != "bentoml":
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _models_of_hubs(inner)


def file_stats(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size in bytes and the time of the last change of each file below a folder, by its path there."""
    stats = {}
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                info = os.stat(f"{root}/{name}")  # noqa: PTH116  # on every run, for each file of each model
            except OSError:  # a link that leads nowhere
                continue
            stats[os.path.relpath(f"{root}/{name}", folder)] = (info.st_size, info.st_mtime_ns)
    return stats
