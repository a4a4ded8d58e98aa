"""All that a Bento is made of, and nothing else, so that it is rebuilt when, and only when, something changed."""

import hashlib
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentoship.bento.configuration import (
    Configuration,
    deciding_variables,
    named_files,
    read_configuration,
    requirement_variables,
)
from bentoship.bento.packing import NEVER_PACKED, NEVER_WALKED, SECRETS_IGNORED, select, wrong_links
from bentoship.bento.values import BuildContext
from bentoship.bento.versions import bentoml_version
from bentoship.bento.walking import walk
from bentoship.errors import BentoError
from bentoship.packages.folders import listing
from bentoship.packages.uv_settings import format_options, lock_settings
from bentoship.system.process import environment

# Raise it when Bentos are built in another way, so that those built before are rebuilt.
BUILDER_VERSION = "7"

EVERYTHING = "**"
"""What stands for all files of a project, where it is not known which ones were read."""

Stamp = tuple[int, ...]
"""What changes with every write of a file, as no one can set the time of its last change; empty when it is missing."""


@dataclass(frozen=True)
class Inputs:
    """The files that go into a Bento, at one moment, by their paths in the project.

    Args:
        states: the state of each.
        stamps: the stamp of each, which changes even if the file gets its former content back.
        notes: sentences on what include names and is not packed.
        settings: what the environment says of packages, and what the import gets beside files; only to be hashed.
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


def input_key(inputs: Inputs, platform: str) -> str:
    """Return a hash over everything that goes into a Bento except its models, 64 hex digits.

    Args:
        inputs: the files that go into it.
        platform: the platform that packages are locked for ("linux/amd64").
    """
    states = "".join(f"{name}\0{state}\n" for name, state in inputs.states.items())
    tools = (BUILDER_VERSION, NEVER_PACKED, bentoml_version(), sys.version_info[:2], platform, inputs.settings)
    return hashlib.sha256(os.fsencode(f"{tools}\n{states}")).hexdigest()


def read_inputs(context: BuildContext, configuration: Configuration) -> Inputs:
    """Return the files that go into a Bento, as they are now. Raises BentoError.

    Args:
        context: what it is built from.
        configuration: what the project says of it.
    """
    if context.bento:
        return _inputs_of_built(context)
    project, options = context.folder, configuration.options
    selection = select(project, options, context.kept)
    # BentoML packs the project's README.md when the bentofile has no description.
    readme = {project / "README.md"} if not options.get("description") else set()
    # Of the files that python names it packs what they require, not the files.
    copied = {*readme, *named_files(project, {**options, "python": None})}
    links = _links(project, copied) - selection.linked
    if wrong := [*selection.wrong, *wrong_links(project, links)]:
        hint = f"Correct {configuration.place}, or put a copy in place of a link."
        raise BentoError("Pack the project's files", "; ".join(wrong), hint)
    files = {*readme, *named_files(project, options)}
    files |= {configuration.file.resolve()} if configuration.file else set()
    files |= {project / name for name in (*selection.packed, *selection.ignore_files)}
    files |= {ignored for ignored in [project / SECRETS_IGNORED] if ignored.is_file()}
    # The stamp first: what is written while its state is read has another one later.
    found = [(_relative(file, project), stamp(file), file_state(file)) for file in sorted(files)]
    return Inputs(
        {name: state for name, _, state in found},
        {name: stamped for name, stamped, _ in found},
        selection.notes,
        repr((_settings(project, options), context.service, context.arguments, deciding_variables(context, options))),
    )


def _links(project: Path, files: Iterable[Path]) -> set[str]:
    """Return those files of a project that are links, or in a folder that is one, by their paths in it."""
    root = os.path.realpath(project)
    names = {os.path.relpath(file, project) for file in files if os.path.lexists(file)}
    return {n for n in names if not n.startswith("../") and os.path.realpath(f"{root}/{n}") != f"{root}/{n}"}


def _inputs_of_built(context: BuildContext) -> Inputs:
    """Return the inputs of a Bento that is built already: its exported file, or which is the latest in the store."""
    file = context.folder / context.bento
    if not file.is_file():
        file = context.store / context.bento.partition(":")[0] / "latest"
    return Inputs({context.bento: file_state(file)}, {context.bento: stamp(file)}, (), "")


def requirements_key(context: BuildContext) -> str:
    """Return a hash over what a project's configuration says of packages, 64 hex digits.

    Args:
        context: what its Bento is built from.
    """
    project, options = context.folder, read_configuration(context).options
    python = options.get("python")
    files = sorted(set(named_files(project, python)))
    states = "".join(f"{_relative(file, project)}\0{file_state(file)}\n" for file in files)
    settings = _settings(project, options)
    tools = f"{BUILDER_VERSION}\0{bentoml_version()}\0{context.platform}\0{sys.version}\0{python}\0{settings}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def _settings(project: Path, options: Mapping[str, Any]) -> str:
    """Return what the environment says of packages, apart from their requirements; only to be hashed."""
    names = requirement_variables(project, options, addresses=False)
    known = environment(names=names) if names else {}
    return "\0".join([lock_settings(), *format_options(), *(f"{name}={known.get(name)}" for name in sorted(names))])


def file_state(file: Path) -> str:
    """Return whether a file is executable ("1" or "0") and the hash of its content; or what else is in its place."""
    if file.is_symlink():
        return f"link {file.readlink()} {file_state(file.resolve()) if file.exists() else 'dangling'}"
    if not file.is_file():
        return "missing"
    with file.open("rb") as stream:
        return f"{bool(file.stat().st_mode & 0o100):d} {hashlib.file_digest(stream, 'sha256').hexdigest()}"


def project_state(project: Path, kept: Collection[str] = ()) -> str:
    """Return a hash of the names, sizes and times of a project's files, without those of caches.

    Args:
        project: the project.
        kept: of its BuildContext.
    """
    states = [(name, *stamp(project / name)[1:3]) for name in walk(project, {*NEVER_WALKED, *kept}).names]
    return f"files {hashlib.sha256(os.fsencode(repr(states))).hexdigest()}"


def folder_state(folder: Path) -> str:
    """Return a hash of the names in a folder, without those of caches; or "missing"."""
    try:
        names = sorted(set(os.listdir(folder)) - NEVER_WALKED)  # noqa: PTH208  # texts
    except OSError:
        return "missing"
    return f"names {hashlib.sha256(os.fsencode('/'.join(names))).hexdigest()}"


def state_of(project: Path, name: str, kept: Collection[str] = ()) -> str:
    """Return the state of a file or a folder.

    Args:
        project: the project.
        name: a path in it, with a slash for the names in a folder, and with "/*" for its files, by size and time; or
            EVERYTHING.
        kept: of its BuildContext.
    """
    try:
        if name == EVERYTHING:
            return project_state(project, kept)
        if name.endswith("/*"):
            return listing([project / name.removesuffix("/*")])
        return folder_state(project / name) if name.endswith("/") else file_state(project / name)
    except PermissionError:
        return "unreadable"


def states_of(project: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return the states of files and folders by their paths in the project; those elsewhere by their whole paths."""
    names = (f"{_relative(path, project)}{'/' if path.is_dir() else ''}" for path in sorted(paths))
    return {name: state_of(project, name) for name in names}


def stamp(file: Path | str) -> Stamp:
    """Return a file's stamp."""
    try:
        info = os.stat(file)  # noqa: PTH116  # as quick as can be, in an audit hook
    except (OSError, ValueError):
        return ()
    return (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
