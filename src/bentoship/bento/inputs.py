"""All that a Bento is made of, and nothing else, so that it is rebuilt when, and only when, something changed."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from bentoship.bento.packing import NEVER_PACKED, NEVER_WALKED, SECRETS_IGNORED, select
from bentoship.errors import BentoError
from bentoship.packages.requirements import text_of, variables, with_includes
from bentoship.packages.uv_settings import lock_settings
from bentoship.system.documents import read_yaml
from bentoship.system.process import environment

# Raise it when Bentos are built in another way, so that those built before are rebuilt.
BUILDER_VERSION = "5"

SUPPORTED_BENTOML = ((1, 4, 20), (1, 5))
"""The first version of BentoML that works, and the first that may not; pyproject.toml has the same range.

Earlier ones need a package (fs) that no longer imports; a later minor version may change what the adapter relies on.
"""

Stamp = tuple[int, ...]
"""What changes with every write of a file, as no one can set the time of its last change; empty when it is missing."""


@dataclass(frozen=True)
class Inputs:
    """The files that go into a Bento, at one moment, by their paths in the project.

    Args:
        states: the state of each.
        stamps: the stamp of each, which changes even if the file gets its former content back.
        notes: sentences on what include names and is not packed.
        settings: what the environment says of packages; only to be hashed.
    """

    states: Mapping[str, str]
    stamps: Mapping[str, Stamp]
    notes: tuple[str, ...]
    settings: str

    def changed(self, later: "Inputs") -> list[str]:
        """Return the files that are not the same in later inputs, sorted."""
        names = self.states.keys() | later.states.keys()
        return sorted(name for name in names if self._of(name) != later._of(name))

    def _of(self, name: str) -> tuple[str | None, Stamp | None]:
        return self.states.get(name), self.stamps.get(name)


def read_bentofile(path: Path) -> dict[str, Any]:
    """Return bentofile.yaml as a mapping. Raises BentoError when it is missing, not YAML, or not a mapping."""
    doing = f"Read {path.name}"
    try:
        content = read_yaml(path, yaml.SafeLoader)
    except FileNotFoundError:
        hint = f"Create it; `service: module:Class` is the least that a {path.name} needs."
        raise BentoError(doing, f"there is none in {path.parent}", hint) from None
    except OSError as error:
        raise BentoError(doing, error.strerror or str(error)) from error
    except ValueError as error:
        raise BentoError(doing, str(error)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BentoError(doing, f"it is not YAML: {position}{getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise BentoError(doing, "it holds no settings; `service: module:Class` is the least it needs")
    return content


def is_src_layout(options: Mapping[str, Any]) -> bool:
    """Return whether a bentofile has the content of src/ packed above it. Args: options: its content."""
    python = options.get("python")
    return isinstance(python, dict) and bool(python.get("is_src_layout"))


def wanted_base(bentofile: Path) -> tuple[str, str]:
    """Return the base image that a bentofile names, "" for none, and its Python version ("3.11"), by default ours.

    A service may say otherwise, which only its import tells. Raises BentoError as `read_bentofile` does.
    """
    docker = read_bentofile(bentofile).get("docker")
    options = docker if isinstance(docker, dict) else {}
    python = options.get("python_version") or f"{sys.version_info.major}.{sys.version_info.minor}"
    return str(options.get("base_image") or ""), str(python)


def input_key(inputs: Inputs, platform: str) -> str:
    """Return a hash over everything that goes into a Bento except its models, 64 hex digits.

    Args:
        inputs: the files that go into it.
        platform: the platform that packages are locked for ("linux/amd64").
    """
    states = "".join(f"{name}\0{state}\n" for name, state in inputs.states.items())
    tools = f"{BUILDER_VERSION}\0{NEVER_PACKED}\0{bentoml_version()}\0{platform}\0{inputs.settings}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def bentoml_version() -> str:
    """Return the version of the installed BentoML."""
    return installed_version("bentoml")


def installed_version(package: str) -> str:
    """Return a package's version, from the name of its .dist-info folder: importlib.metadata takes 10 ms to import.

    Args:
        package: its name, which is also that of its module.
    """
    spec = find_spec(package)
    folders = Path(spec.origin).parents[1].glob(f"{package}-*.dist-info") if spec and spec.origin else iter(())
    if folder := next(folders, None):
        return folder.stem.removeprefix(f"{package}-")
    from importlib.metadata import version  # from a folder of sources

    return version(package)


def check_bentoml() -> None:
    """Check that the installed BentoML is a supported one. Raises BentoError."""
    found = bentoml_version()
    first, beyond = SUPPORTED_BENTOML
    if not first <= tuple(map(int, re.findall(r"\d+", found)[:3])) < beyond:
        supported = f">={'.'.join(map(str, first))},<{'.'.join(map(str, beyond))}"
        why = f"BentoML {found} is installed, but only {supported} is supported"
        raise BentoError("Build the Bento", why, f'Install another one: `pip install "bentoml{supported}"`.')


def read_inputs(project: Path, bentofile: Path) -> Inputs:
    """Return the files that go into a Bento, as they are now. Raises BentoError.

    Args:
        project: the build context.
        bentofile: its bentofile.yaml.
    """
    options = read_bentofile(bentofile)
    selection = select(project, options)
    if selection.wrong:
        hint = "Correct include or exclude in bentofile.yaml, or put a copy in place of a link."
        raise BentoError("Pack the project's files", "; ".join(selection.wrong), hint)
    files = {*named_files(project, options), bentofile.resolve()}
    files |= {project / name for name in (*selection.packed, *selection.ignore_files)}
    # BentoML packs the project's README.md when the bentofile has no description.
    files |= {project / "README.md"} if not options.get("description") else set()
    files |= {ignored for ignored in [project / SECRETS_IGNORED] if ignored.is_file()}
    # The stamp first: what is written while its state is read has another one later.
    found = [(_relative(file, project), stamp(file), file_state(file)) for file in sorted(files)]
    return Inputs(
        {name: state for name, _, state in found},
        {name: stamped for name, stamped, _ in found},
        selection.notes,
        _settings(project, options),
    )


def requirements_key(project: Path, bentofile: Path, platform: str) -> str:
    """Return a hash over what a bentofile says of packages, 64 hex digits.

    Args:
        project: the build context.
        bentofile: its bentofile.yaml.
        platform: the platform that packages are locked for ("linux/amd64").
    """
    options = read_bentofile(bentofile)
    python = options.get("python")
    files = sorted(set(named_files(project, python)))
    states = "".join(f"{_relative(file, project)}\0{file_state(file)}\n" for file in files)
    settings = _settings(project, options)
    tools = f"{BUILDER_VERSION}\0{bentoml_version()}\0{platform}\0{sys.version}\0{python}\0{settings}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def requirement_variables(project: Path, options: Mapping[str, Any], *, addresses: bool = True) -> set[str]:
    """Return the names of the variables that a project's requirements refer to.

    Args:
        project: the build context.
        options: the content of bentofile.yaml.
        addresses: as for `packages.requirements.variables`.
    """
    python = options.get("python")
    texts = [str(python or ""), *map(text_of, named_files(project, python))]
    return {name for text in texts for name in variables(text, addresses=addresses)}


def _settings(project: Path, options: Mapping[str, Any]) -> str:
    """Return what the environment says of packages, apart from their requirements; only to be hashed."""
    names = requirement_variables(project, options, addresses=False)
    known = environment(names=names) if names else {}
    return "\0".join([lock_settings(), *(f"{name}={known.get(name)}" for name in sorted(names))])


def named_files(project: Path, options: object) -> Iterator[Path]:
    """Yield the files that a bentofile names (requirements, scripts, a description), and those that they include."""
    if isinstance(options, Mapping):
        options = [value for key, value in options.items() if key not in {"include", "exclude"}]
    if isinstance(options, list):
        for value in options:
            yield from named_files(project, value)
    elif isinstance(options, str) and options and len(options) < 1024 and "\n" not in options:
        file = project / options.removeprefix("file:").strip()
        if os.path.isfile(file):  # noqa: PTH113  # unlike Path.is_file, also for a text too long for a name
            yield from with_includes(file) if file.suffix in {".txt", ".in"} else (file,)


def file_state(file: Path) -> str:
    """Return whether a file is executable ("1" or "0") and the hash of its content; or what else is in its place."""
    if file.is_symlink():
        return f"link {file.readlink()} {file_state(file.resolve()) if file.exists() else 'dangling'}"
    if not file.is_file():
        return "missing"
    with file.open("rb") as stream:
        return f"{bool(file.stat().st_mode & 0o100):d} {hashlib.file_digest(stream, 'sha256').hexdigest()}"


def folder_state(folder: Path) -> str:
    """Return a hash of the names in a folder, without those of caches; or "missing"."""
    try:
        names = sorted(set(os.listdir(folder)) - NEVER_WALKED)  # noqa: PTH208  # texts
    except OSError:
        return "missing"
    return f"names {hashlib.sha256(os.fsencode('/'.join(names))).hexdigest()}"


def state_of(project: Path, name: str) -> str:
    """Return the state of a file, or of a folder, whose name ends in a slash. Args: name: the path in the project."""
    return folder_state(project / name) if name.endswith("/") else file_state(project / name)


def stamp(file: Path | str) -> Stamp:
    """Return a file's stamp."""
    try:
        info = os.stat(file)  # noqa: PTH116  # as quick as can be, in an audit hook
    except (OSError, ValueError):
        return ()
    return (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
