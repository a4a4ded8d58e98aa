"""All that a Bento is made of, and nothing else, so that it is rebuilt when, and only when, something changed."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from bentoship.bento.packing import NEVER_PACKED, select
from bentoship.errors import BentoError
from bentoship.packages.requirements import with_includes

# Raise it when Bentos are built in another way, so that those built before are rebuilt.
BUILDER_VERSION = "4"

SUPPORTED_BENTOML = ((1, 4, 20), (1, 5))
"""The first version of BentoML that works, and the first that may not; pyproject.toml has the same range.

Earlier ones need a package (fs) that no longer imports; a later minor version may change what the adapter relies on.
"""


def read_bentofile(path: Path) -> dict[str, Any]:
    """Return bentofile.yaml as a mapping. Raises BentoError when it is missing, not YAML, or not a mapping."""
    doing = f"Read {path.name}"
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        hint = f"Create it; `service: module:Class` is the least that a {path.name} needs."
        raise BentoError(doing, f"there is none in {path.parent}", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BentoError(doing, str(error)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BentoError(doing, f"it is not YAML: {position}{getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise BentoError(doing, "it holds no settings; `service: module:Class` is the least it needs")
    return content


def wanted_base(bentofile: Path) -> tuple[str, str]:
    """Return the base image that a bentofile names, "" for none, and its Python version ("3.11"), by default ours.

    A service may say otherwise, which only its import tells. Raises BentoError as `read_bentofile` does.
    """
    docker = read_bentofile(bentofile).get("docker")
    options = docker if isinstance(docker, dict) else {}
    python = options.get("python_version") or f"{sys.version_info.major}.{sys.version_info.minor}"
    return str(options.get("base_image") or ""), str(python)


def input_key(project: Path, bentofile: Path, platform: str) -> str:
    """Return a hash over everything that goes into a Bento except its models, 64 hex digits.

    Args:
        project: the build context.
        bentofile: its bentofile.yaml.
        platform: the platform that packages are locked for ("linux/amd64").
    """
    states = "".join(f"{name}\0{state}\n" for name, state in input_states(project, bentofile).items())
    tools = f"{BUILDER_VERSION}\0{NEVER_PACKED}\0{bentoml_version()}\0{platform}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def bentoml_version() -> str:
    """Return BentoML's version, from the name of its .dist-info folder: importlib.metadata takes 10 ms to import."""
    spec = find_spec("bentoml")
    folders = Path(spec.origin).parents[1].glob("bentoml-*.dist-info") if spec and spec.origin else iter(())
    if folder := next(folders, None):
        return folder.stem.removeprefix("bentoml-")
    from importlib.metadata import version  # from a folder of sources

    return version("bentoml")


def check_bentoml() -> None:
    """Check that the installed BentoML is a supported one. Raises BentoError."""
    found = bentoml_version()
    first, beyond = SUPPORTED_BENTOML
    if not first <= tuple(map(int, re.findall(r"\d+", found)[:3])) < beyond:
        supported = f">={'.'.join(map(str, first))},<{'.'.join(map(str, beyond))}"
        why = f"BentoML {found} is installed, but only {supported} is supported"
        raise BentoError("Build the Bento", why, f'Install another one: `pip install "bentoml{supported}"`.')


def input_states(project: Path, bentofile: Path) -> dict[str, str]:
    """Return the state of each file that goes into a Bento, by its path in the project. Raises BentoError."""
    options = read_bentofile(bentofile)
    selection = select(project, options)
    files = {*_named_files(project, options), bentofile.resolve()}
    files |= {project / name for name in (*selection.packed, *selection.ignore_files)}
    # BentoML packs the project's README.md when the bentofile has no description.
    files |= {project / "README.md"} if not options.get("description") else set()
    return {_relative(file, project): file_state(file) for file in sorted(files)}


def requirements_key(project: Path, bentofile: Path, platform: str) -> str:
    """Return a hash over what a bentofile says of packages, 64 hex digits.

    Args: as of `input_key`.
    """
    python = read_bentofile(bentofile).get("python")
    files = sorted(set(_named_files(project, python)))
    states = "".join(f"{_relative(file, project)}\0{file_state(file)}\n" for file in files)
    tools = f"{BUILDER_VERSION}\0{bentoml_version()}\0{platform}\0{sys.version}\0{python}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def _named_files(project: Path, options: object) -> Iterator[Path]:
    """Yield the files that a bentofile names (requirements, scripts, a description), and those that they include."""
    if isinstance(options, Mapping):
        options = [value for key, value in options.items() if key not in {"include", "exclude"}]
    if isinstance(options, list):
        for value in options:
            yield from _named_files(project, value)
    elif isinstance(options, str) and options and len(options) < 1024 and "\n" not in options:
        file = project / options.removeprefix("file:").strip()
        if file.is_file():
            yield from with_includes(file) if file.suffix in {".txt", ".in"} else (file,)


def file_state(file: Path) -> str:
    """Return whether a file is executable ("1" or "0") and the hash of its content; or what else is in its place."""
    if file.is_symlink():
        return f"link {file.readlink()} {file_state(file.resolve()) if file.exists() else 'dangling'}"
    if not file.is_file():
        return "missing"
    with file.open("rb") as stream:
        return f"{bool(file.stat().st_mode & 0o100):d} {hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
