"""All that a Bento is made of, and nothing else, so that it is rebuilt when, and only when, something changed."""

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bentoship.bento.configuration import (
    Configuration,
    deciding_variables,
    named_files,
    package_indexes,
    read_configuration,
    requirement_variables,
)
from bentoship.bento.packing import NEVER_PACKED, SECRETS_IGNORED, select, wrong_links
from bentoship.bento.states import Stamp, file_state, relative, stamp
from bentoship.bento.values import BuildContext
from bentoship.bento.versions import bentoml_version
from bentoship.errors import BentoError
from bentoship.packages.uv_settings import format_options, lock_settings
from bentoship.system.process import environment
from bentoship.system.urls import without_secrets
from bentoship.system.values import dataclass

# Raise it when Bentos are built in another way, so that those built before are rebuilt.
BUILDER_VERSION = "7"


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
    variables = deciding_variables(context, options)
    # The stamp first: what is written while its state is read has another one later.
    found = [(relative(file, project), stamp(file), file_state(file)) for file in sorted(files)]
    return Inputs(
        {name: state for name, _, state in found},
        {name: stamped for name, stamped, _ in found},
        selection.notes,
        repr((_settings(context, configuration), context.service, context.arguments, variables)),
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
    project, configuration = context.folder, read_configuration(context)
    python = configuration.options.get("python")
    files = sorted(set(named_files(project, python)))
    states = "".join(f"{relative(file, project)}\0{file_state(file)}\n" for file in files)
    settings = _settings(context, configuration)
    tools = f"{BUILDER_VERSION}\0{bentoml_version()}\0{context.platform}\0{sys.version}\0{python}\0{settings}\n"
    return hashlib.sha256(os.fsencode(tools + states)).hexdigest()


def _settings(context: BuildContext, configuration: Configuration) -> str:
    """Return what is said of packages apart from their requirements; only to be hashed."""
    names = requirement_variables(context.folder, configuration.options, addresses=False)
    known = environment(names=names) if names else {}
    variables = [f"{name}={known.get(name)}" for name in sorted(names)]
    indexes = without_secrets(package_indexes(context, configuration))
    return "\0".join([lock_settings(), *format_options(), *variables, indexes])
