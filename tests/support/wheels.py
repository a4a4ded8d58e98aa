"""Wheels made by hand, so that installing needs no network."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, str | bytes] | None = None,
    requires: str = "",
    script: str = "",
    digests: bool = False,
    license: str = "",
) -> Path:
    """Write a wheel (PyPA specification, "Binary distribution format").

    Args:
        files: by their paths in it; a module of the wheel's name when None.
        requires: a requirement.
        script: the name of a console script that calls the module's `main`.
        digests: whether its list of files says what is in them, as in wheels that others make.
        license: an SPDX expression.
    """
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    members = {
        **(files if files is not None else {f"{name}/__init__.py": "def main():\n    print('hello')\n"}),
        f"{info}/METADATA": metadata
        + (f"Requires-Dist: {requires}\n" if requires else "")
        + (f"License-Expression: {license}\n" if license else ""),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        **({f"{info}/entry_points.txt": f"[console_scripts]\n{script} = {name}:main\n"} if script else {}),
    }
    facts = {path: _facts(content) if digests else "," for path, content in members.items()}
    rows = "".join(f"{path},{facts.get(path, ',')}\n" for path in [*members, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**members, f"{info}/RECORD": rows}.items():
            archive.writestr(member, content)
    return path


def _facts(content: str | bytes) -> str:
    """Return what a wheel's list of files says of one."""
    data = content.encode() if isinstance(content, str) else content
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(data)}"


def make_source(folder: Path, name: str, version: str = "1.0", *, files: Mapping[str, str] | None = None) -> Path:
    """Write a source distribution, which has to be built to be installed; files may say how."""
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n".encode()
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        contents = {"PKG-INFO": metadata, "pyproject.toml": b""}
        for member, content in (contents | {name: text.encode() for name, text in (files or {}).items()}).items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


BACKEND = """\
import os, pathlib, zipfile

def build_wheel(out, config_settings=None, metadata_directory=None):
    {before}
    name = "{name}-{version}-{tag}.whl"
    pathlib.Path("left-by-the-build").touch()
    os.umask(int.from_bytes(os.urandom(1), "big") & 0o77)
    with zipfile.ZipFile(os.path.join(out, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in sorted(pathlib.Path("{name}").rglob("*")) if os.getpid() % 2 else pathlib.Path("{name}").rglob("*"):
            wheel.write(file)
        info = "{name}-{version}.dist-info"
        extras = "Provides-Extra: more\\n{requires}"
        wheel.writestr(f"{{info}}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{{extras}}")
        wheel.writestr(f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
        wheel.writestr(f"{{info}}/RECORD", "")
    with open("{log}", "a") as log:
        print(*sorted(os.environ), file=log)
    return name

def build_sdist(out, config_settings=None):
    raise NotImplementedError
"""


def source_files(
    name: str,
    log: Path,
    *,
    version: str = "1.0",
    tag: str = "py3-none-any",
    before: str = "pass",
    requires: str = "",
) -> dict[str, str]:
    """Return the files of a package that builds itself, so that building needs no network.

    Args:
        log: the file that gets a line per build, with the names of the variables that it sees.
        before: what the build does first.
        requires: a requirement.
    """
    needs = f"Requires-Dist: {requires}\\n" if requires else ""
    return {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
        "own.py": BACKEND.format(name=name, version=version, tag=tag, before=before, log=log, requires=needs),
        f"{name}/__init__.py": "X = 1\n",
    }


def make_folder(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return folder


def make_requirements(bento: Path, wheels: Path, *requirements: str, locked: bool = True) -> Path:
    """Give a Bento's folder requirements that are met from a folder of wheels alone.

    Args:
        locked: whether BentoML has made a lock of them, which says more than it was asked for.
    """
    folder = bento / "env" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    (bento / "src").mkdir(exist_ok=True)
    text = f"--no-index\n--find-links {wheels}\n" + "".join(f"{line}\n" for line in requirements)
    (folder / "requirements.txt").write_text(text, "utf-8")
    asked = "".join(f"{line}\n" for line in requirements)
    (folder / "requirements.in").write_text(asked if locked else text, "utf-8")
    return bento
