"""Everything that a Bento is made of, so that nothing is built when nothing changed, and never less than that."""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from pathspec import PathSpec

from bentoship.errors import BentoError
from bentoship.packages.requirements import with_includes

# Raise it when the way a Bento is built changes, so that those built before are rebuilt.
BUILDER_VERSION = "3"

NEVER_PACKED = (
    # What BentoML itself leaves out (BentoPathSpec in bentoml/_internal/bento/build_config.py),
    ".git", ".venv/", "venv/", "__pycache__/", ".DS_Store",
    # what this tool and others keep in a project's folder,
    ".bentoship/", ".cache/", ".dvc/", ".ipynb_checkpoints/", ".mypy_cache/", ".nox/", ".pytest_cache/",
    ".ruff_cache/", ".tox/", "node_modules/", "*.bentomodel",
    # and what nobody may have by pulling an image.
    ".aws/", ".docker/", ".env", ".env.*", ".git-credentials", ".gnupg/", ".kube/", ".netrc", "_netrc", ".pypirc",
    ".ssh/", "application_default_credentials.json", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa",
)  # fmt: skip
"""Patterns of files that do not get into a Bento, whatever its bentofile includes."""

_IGNORE = ".bentoignore"
_NEVER_WALKED = frozenset(pattern.rstrip("/") for pattern in NEVER_PACKED)


def read_bentofile(path: Path) -> dict[str, Any]:
    """Return bentofile.yaml as a mapping. Raises BentoError when it is missing, not YAML, or not a mapping."""
    doing = f"Read {path.name}"
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        hint = f"Put a {path.name} beside tasks.py; it says what service to pack."
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
    """Return the base image that a bentofile names, empty when it names none, and its Python, by default ours.

    A service may say otherwise, which only its import tells. Raises BentoError as `read_bentofile` does.
    """
    docker = read_bentofile(bentofile).get("docker")
    options = docker if isinstance(docker, dict) else {}
    python = options.get("python_version") or f"{sys.version_info.major}.{sys.version_info.minor}"
    return str(options.get("base_image") or ""), str(python)


def input_key(project: Path, bentofile: Path, platform: str) -> str:
    """Return a hash over all that goes into a Bento but its models, 64 hex digits.

    Args:
        project: the build context.
        bentofile: its bentofile.yaml.
        platform: the platform that packages are locked for ("linux/amd64").
    """
    states = "".join(f"{name}\0{state}\n" for name, state in input_states(project, bentofile).items())
    tools = f"{BUILDER_VERSION}\0{NEVER_PACKED}\0{_bentoml_version()}\0{platform}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def _bentoml_version() -> str:
    """Return the version of BentoML by its .dist-info folder: what importlib.metadata imports takes 10 ms."""
    spec = find_spec("bentoml")
    folders = Path(spec.origin).parents[1].glob("bentoml-*.dist-info") if spec and spec.origin else iter(())
    if folder := next(folders, None):
        return folder.stem.removeprefix("bentoml-")
    from importlib.metadata import version  # from a folder of sources

    return version("bentoml")


def input_states(project: Path, bentofile: Path) -> dict[str, str]:
    """Return the state of each file that goes into a Bento, by their paths in the project."""
    options, names = read_bentofile(bentofile), _names_below(project)
    files = {*_packed(project, options, names), *_named_files(project, options), bentofile.resolve()}
    # BentoML packs the project's README.md when the bentofile has no description.
    files |= {project / "README.md"} if not options.get("description") else set()
    files |= {project / name for name in filter(_is_ignore_file, names)}
    return {_relative(file, project): file_state(file) for file in sorted(files)}


def requirements_key(project: Path, bentofile: Path, platform: str) -> str:
    """Return a hash over what a bentofile says of packages, 64 hex digits. Takes what `input_key` does."""
    python = read_bentofile(bentofile).get("python")
    files = sorted(set(_named_files(project, python)))
    states = "".join(f"{_relative(file, project)}\0{file_state(file)}\n" for file in files)
    tools = f"{BUILDER_VERSION}\0{_bentoml_version()}\0{platform}\0{sys.version}\0{python}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def packed_files(project: Path, options: Mapping[str, Any]) -> Iterator[Path]:
    """Return the files that BentoML would pack: include, exclude and .bentoignore are read as it reads them."""
    return _packed(project, options, _names_below(project))


def _packed(project: Path, options: Mapping[str, Any], names: Sequence[str]) -> Iterator[Path]:
    """Yield those that would be packed of a project's files, by their paths in it."""
    include = _spec(options.get("include") or ["*"])
    exclude = _spec([*(options.get("exclude") or []), *NEVER_PACKED])
    ignores = {
        name.removesuffix(_IGNORE): _spec((project / name).read_text("utf-8", errors="replace").splitlines())
        for name in filter(_is_ignore_file, names)
    }
    for name in names:
        if include.match_file(name) and not exclude.match_file(name):
            ignored = (spec.match_file(name.removeprefix(at)) for at, spec in ignores.items() if name.startswith(at))
            if not any(ignored):
                yield project / name


def _spec(patterns: list[str]) -> PathSpec[Any]:
    return PathSpec.from_lines("gitwildmatch", patterns)


def _names_below(folder: Path) -> list[str]:
    """Return the paths of the files below a folder, from there; folders that are never packed are not walked."""
    # Texts: a path object for each of hundreds of files takes longer than to find it.
    names: list[str] = []
    for root, folders, files in os.walk(folder):
        folders[:] = set(folders) - _NEVER_WALKED
        names += (f"{root}/{file}".removeprefix(f"{folder}/") for file in files)
    return sorted(names)


def _is_ignore_file(name: str) -> bool:
    return name.rpartition("/")[2] == _IGNORE


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
