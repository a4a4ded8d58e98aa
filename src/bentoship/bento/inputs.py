"""All that a Bento is made of, and nothing else, so that it is rebuilt when, and only when, something changed."""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from bentoship.bento.packing import NEVER_PACKED, select
from bentoship.errors import BentoError
from bentoship.packages.requirements import text_of, variables, with_includes
from bentoship.packages.uv_settings import lock_settings
from bentoship.system.process import environment

# Raise it when Bentos are built in another way, so that those built before are rebuilt.
BUILDER_VERSION = "5"


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
    tools = f"{BUILDER_VERSION}\0{NEVER_PACKED}\0{_bentoml_version()}\0{platform}\0{_settings(project, bentofile)}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def _bentoml_version() -> str:
    """Return BentoML's version, from the name of its .dist-info folder: importlib.metadata takes 10 ms to import."""
    spec = find_spec("bentoml")
    folders = Path(spec.origin).parents[1].glob("bentoml-*.dist-info") if spec and spec.origin else iter(())
    if folder := next(folders, None):
        return folder.stem.removeprefix("bentoml-")
    from importlib.metadata import version  # from a folder of sources

    return version("bentoml")


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
    settings = _settings(project, bentofile)
    tools = f"{BUILDER_VERSION}\0{_bentoml_version()}\0{platform}\0{sys.version}\0{python}\0{settings}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def requirement_variables(project: Path, bentofile: Path, *, addresses: bool = True) -> set[str]:
    """Return the names of the variables that a project's requirements refer to.

    Args: as of `input_key`, and of `packages.requirements.variables`.
    """
    python = read_bentofile(bentofile).get("python")
    texts = [str(python or ""), *map(text_of, _named_files(project, python))]
    return {name for text in texts for name in variables(text, addresses=addresses)}


def _settings(project: Path, bentofile: Path) -> str:
    """Return what the environment says of packages, apart from their requirements; only to be hashed."""
    names = requirement_variables(project, bentofile, addresses=False)
    known = environment(names=names) if names else {}
    return "\0".join([lock_settings(), *(f"{name}={known.get(name)}" for name in sorted(names))])


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
