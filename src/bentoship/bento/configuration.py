"""What a project says of its Bento: in bentofile.yaml, in pyproject.toml, or in the code of its service alone."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

if sys.version_info >= (3, 11):  # noqa: UP036  # an image may have an older one
    import tomllib
else:
    import tomli as tomllib  # BentoML depends on it there

from bentoship.bento.values import BuildContext
from bentoship.bento.versions import bentoml_version, numbers_of
from bentoship.errors import BentoError, reason
from bentoship.packages.requirements import text_of, variables, with_includes
from bentoship.system.documents import read_text, read_yaml
from bentoship.system.modules import has_service
from bentoship.system.process import OWN_PYTHON, environment
from bentoship.system.urls import with_variables
from bentoship.system.values import dataclass

_PYPROJECT = "pyproject.toml"
CONFIGURATIONS = ("bentofile.yaml", _PYPROJECT)
"""The files that BentoML looks for, in this order (DEFAULT_BENTO_BUILD_FILES in bentoml/_internal/bento/bento.py)."""

SERVICE_FILE = "service.py"
"""What BentoML takes for the service where nothing names one (`load` in bentoml/_internal/service/loader.py)."""

_LISTS = {
    "": ("include", "exclude", "models", "envs"),
    "python": ("packages", "wheels"),
    "docker": ("system_packages",),
    "conda": ("channels", "dependencies", "pip"),
}
"""The options that are lists to BentoML, by their sections (…/bento/build_config.py); others may be texts as well."""

_DEPTH, _SHOWN = 3, 5
"""How deep services are looked for below a folder that has none, and how many are named."""

_FINDS_SRC = (1, 4, 38)
"""The first BentoML that takes a src/ beside pyproject.toml for a src layout."""

_PREFIXES = ("BENTOML_", "HF_", "LC_")
"""Variables for libraries, which the import gets without being named."""

# Tokens are renewed, and places differ between machines, without another result.
_CHANGING = re.compile("TOKEN|PASSW|SECRET|KEY|CREDENTIAL|_(HOME|CACHE|DIR|PATH)$")


@dataclass(frozen=True)
class Configuration:
    """What a project says of its Bento.

    Args:
        file: the file that says it; None where the service alone does.
        options: what it says, as a bentofile.yaml would.
        is_built: whether the Bento is built already, so that the project says nothing of it.
    """

    file: Path | None
    options: Mapping[str, Any]
    is_built: bool = False

    @property
    def place(self) -> str:
        """Return where the user changes it, for a sentence."""
        if self.file is None:
            return "a bentofile.yaml"
        return f"[tool.bentoml.build] of {_PYPROJECT}" if self.file.name == _PYPROJECT else self.file.name


class NoServiceError(BentoError):
    """There is no service in a folder."""


def project_configuration(context: BuildContext) -> Configuration:
    """Return what `read_configuration` does, for the folder that the user takes for a project.

    Raises: BentoError as it does; where the folder has no service, with the folders below that have one.
    """
    try:
        return read_configuration(context)
    except NoServiceError as error:
        from bentoship.bento.finding import find_projects  # which reads configurations; not needed where there is one

        if found := [path.relative_to(context.folder).as_posix() for path in find_projects(context.folder, _DEPTH)]:
            shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
            error.hint = (
                f"Below it, {shown} {'has' if len(found) == 1 else 'have'} one: --all takes all, --project one."
            )
        raise


def read_configuration(context: BuildContext) -> Configuration:
    """Return what a project says of its Bento, found where `bentoml build` finds it, with the user's settings applied.

    Raises: BentoError when there is none, it cannot be read, or it is neither YAML nor TOML.
    """
    if context.bento:
        return Configuration(None, {"service": ""}, is_built=True)
    file = context.bentofile or next(filter(Path.is_file, map(context.folder.joinpath, CONFIGURATIONS)), None)
    if file is None:
        options: dict[str, Any] = {}
    else:
        options = _read_pyproject(file) if file.name == _PYPROJECT else _read_yaml(file)
    if context.service:
        options["service"] = context.service
    if (named := str(options.get("service") or "")) and ":" not in named:
        _check_module(context.folder, named)
    if not options.get("service"):
        if not (context.folder / SERVICE_FILE).is_file():
            hint = f"Name it, as in `service: module:Class` in bentofile.yaml, or call its file {SERVICE_FILE}."
            # A bentofile.yaml is there for a service; a pyproject.toml may be that of a whole repository.
            is_project = context.bentofile or (file and file.name != _PYPROJECT)
            kind = BentoError if is_project else NoServiceError
            raise kind("Find the service", _nothing_found(file, context.folder), hint)
        options["service"] = ""
    return Configuration(file, options)


def check_configuration(context: BuildContext, configuration: Configuration) -> None:
    """Check that what is to be imported or packed exists at all.

    Args:
        context: what the Bento is built from.
        configuration: what the project says of it.

    Raises: BentoError for a module or a Bento that is missing.
    """
    if configuration.is_built:
        _check_built(context)
    elif named := configuration.options["service"]:
        _check_module(context.folder, str(named))


def _check_built(context: BuildContext) -> None:
    """Check that a Bento that is built already exists, as BentoML finds it: by the beginning of its version.

    Raises: BentoError.
    """
    name, _, version = context.bento.lower().partition(":")
    known = (context.store / name).glob(f"{version.removeprefix('latest')}*") if "/" not in name else iter(())
    if not (context.folder / context.bento).is_file() and not any(known):
        hint = "`bentoml list` shows those that are; BENTOML_HOME names another store."
        raise BentoError("Find the Bento", f"{context.bento} is not in the Bento store {context.store}", hint)


def _check_module(folder: Path, service: str) -> None:
    """Raise BentoError unless a service's module exists."""
    if not has_service(folder, service):
        name = service.partition(":")[0]
        hint = "Write it as module:Class, such as service:Classifier; --bento publishes a Bento that is built already."
        raise BentoError("Find the service", f"{name} is no module of the project", hint)


def _nothing_found(file: Path | None, folder: Path) -> str:
    if file is None:
        return f"there is neither a bentofile.yaml nor a {_PYPROJECT} nor a {SERVICE_FILE} in {folder}"
    return f"{file.name} names none, and there is no {SERVICE_FILE} in {folder}"


def _read_yaml(file: Path) -> dict[str, Any]:
    doing = f"Read {file.name}"
    try:
        content = read_yaml(file, yaml.SafeLoader)
    except (OSError, ValueError) as error:
        raise BentoError(doing, reason(error)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BentoError(doing, f"it is not YAML: {position}{getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise BentoError(doing, "it holds no settings; `service: module:Class` is the least it needs")
    _check_lists(doing, content)
    return content


def _read_pyproject(file: Path) -> dict[str, Any]:
    """Return the options in a pyproject.toml (BentoBuildConfig.from_pyproject in …/bento/build_config.py)."""
    doing = f"Read {file.name}"
    try:
        content = tomllib.loads(read_text(file))
        project = content.get("project", {})
        options = dict(content.get("tool", {}).get("bentoml", {}).get("build", {}))
        _check_lists(doing, options)
        _check_list(doing, "project.dependencies", project.get("dependencies"))
        python = dict(options.get("python", {}))
        packages = [*python.get("packages", []), *project.get("dependencies", [])]
        name = project.get("name")
    except tomllib.TOMLDecodeError as error:
        raise BentoError(doing, f"it is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BentoError(doing, reason(error)) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise BentoError(doing, f"[project] or [tool.bentoml.build] has another form: {error}") from error
    if packages:
        python["packages"] = packages
    if (file.parent / "src").is_dir() and numbers_of(bentoml_version()) >= _FINDS_SRC:
        python.setdefault("is_src_layout", True)
    return {**({"name": name} if name else {}), **options, **({"python": python} if python else {})}


def _check_lists(doing: str, options: Mapping[str, Any]) -> None:
    """Raise BentoError for an option that has something else in place of a list."""
    for section, names in _LISTS.items():
        values = options.get(section) if section else options
        if isinstance(values, Mapping):
            for name in names:
                _check_list(doing, f"{section}.{name}".lstrip("."), values.get(name))


def _check_list(doing: str, key: str, value: object) -> None:
    if value is not None and not isinstance(value, list):
        example = f"[{json.dumps(value, ensure_ascii=False)}]" if isinstance(value, str) else "a list"
        raise BentoError(doing, f"{key} is no list, but {value!r}", f"Write {example}.")


def is_src_layout(options: Mapping[str, Any]) -> bool:
    """Return whether the content of src/ is packed above it. Args: options: of a Configuration."""
    python = options.get("python")
    return isinstance(python, dict) and bool(python.get("is_src_layout"))


def wanted_base(configuration: Configuration) -> tuple[str, str]:
    """Return the base image that a configuration names, "" for none, and its Python version ("3.11"), by default ours.

    A service may say otherwise, which only its import shows.
    """
    options = _docker(configuration)
    python = options.get("python_version") or OWN_PYTHON
    return str(options.get("base_image") or ""), ".".join(str(python).split(".")[:2])


def python_option(configuration: Configuration, python: str) -> str:
    """Return where the user says which Python a Bento has. Args: python: that which it has."""
    if configuration.is_built:
        return "docker.python_version, where the Bento is built,"
    # What no file says, and is not this process's, is in the service.
    is_said = bool(_docker(configuration).get("python_version")) or python == OWN_PYTHON
    in_file = f"docker.python_version in {configuration.place}"
    return in_file if configuration.file and is_said else "python_version of its Image"


def python_wish(configuration: Configuration, python: str) -> str:
    """Return why a Bento has a Python, such as "the Bento wants Python 3.13 (python_version of its Image)".

    A file wins over the Image in the service.
    """
    is_default = configuration.is_built or python == OWN_PYTHON
    if is_default and not _docker(configuration).get("python_version"):
        return f"the Bento is built with Python {python}"
    return f"the Bento wants Python {python} ({python_option(configuration, python)})"


def _docker(configuration: Configuration) -> Mapping[str, Any]:
    docker = configuration.options.get("docker")
    return docker if isinstance(docker, dict) else {}


def named_files(project: Path, options: object) -> Iterator[Path]:
    """Yield the files that options name (requirements, scripts, a description), and those that they include."""
    if isinstance(options, Mapping):
        options = [value for key, value in options.items() if key not in {"include", "exclude"}]
    if isinstance(options, list):
        for value in options:
            yield from named_files(project, value)
    elif isinstance(options, str) and options and len(options) < 1024 and "\n" not in options:
        file = project / options.removeprefix("file:").strip()
        if os.path.isfile(file):  # noqa: PTH113  # unlike Path.is_file, also for a text too long for a name
            yield from with_includes(file) if file.suffix in {".txt", ".in"} else (file,)


def import_variables(context: BuildContext, options: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that a service may read on its import: those of `envs`, and those that the user names.

    One with a value in `envs` has that value, as in a container; the others have that of this environment, if any.

    Args:
        context: what the Bento is built from.
        options: of its Configuration.

    Raises: BentoError as `check_variable` does.
    """
    envs = [env for env in options.get("envs") or [] if isinstance(env, Mapping) and "name" in env]
    for env in envs:
        check_variable(str(env["name"]), str(env.get("value") or ""))
    named = [*(str(env["name"]) for env in envs), *context.variables]
    declared = {str(env["name"]): str(env["value"]) for env in envs if env.get("value")}
    known = environment(names=named)
    return {**{name: known[name] for name in named if name in known}, **declared}


def import_environment(context: BuildContext, options: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of the process that imports a service. Args: as of `import_variables`."""
    return environment(prefixes=_PREFIXES, extra=import_variables(context, options))


def deciding_variables(context: BuildContext, options: Mapping[str, Any]) -> dict[str, str]:
    """Return those variables of the import that may decide its result: no credentials, and no places of a machine.

    Args: as of `import_variables`, which are all among them.
    """
    given = import_environment(context, options)
    implied = [name for name in given if name.startswith((*_PREFIXES, "LANG", "TZ")) and not _CHANGING.search(name)]
    return {**{name: given[name] for name in sorted(implied)}, **import_variables(context, options)}


def check_variable(name: str, value: str) -> None:
    """Raise BentoError for a variable that no process can have."""
    if not name or re.search(r"[=\x00-\x1f\x7f]", name):
        hint = "Its value belongs in `value`." if "=" in name else "Correct it in `envs`."
        raise BentoError("Set the Bento's variables", f"{name!r} cannot be a variable's name", hint)
    if "\0" in value:
        raise BentoError("Set the Bento's variables", f"the value of {name} has a NUL", "Correct it in `envs`.")


def package_indexes(context: BuildContext, configuration: Configuration, named: Iterable[Path] = ()) -> str:
    """Return what a project says of the indexes of single packages, passwords included.

    Args:
        context: what its Bento is built from.
        configuration: what the project says of it.
        named: files of requirements; those that configuration names are not among them before the service is imported.

    Raises: PackagesError.
    """
    from bentoship.packages.indexes import indexes_in  # the process that imports the service does not need it

    file = configuration.file
    pyproject = file if file and file.name == _PYPROJECT else context.folder / _PYPROJECT
    return indexes_in(pyproject, {*named, *named_files(context.folder, configuration.options.get("python"))})


def requirement_variables(project: Path, options: Mapping[str, Any], *, addresses: bool = True) -> set[str]:
    """Return the names of the variables that a project's requirements refer to.

    Args:
        project: the build context.
        options: of its Configuration.
        addresses: as for `packages.requirements.variables`.
    """
    return {name for text in _requirements(project, options) for name in variables(text, addresses=addresses)}


def index_passwords(context: BuildContext, configuration: Configuration) -> dict[str, str]:
    """Return the variables that stand in a Bento for users and passwords in its requirements, with their values.

    Args: as of `package_indexes`.
    """
    texts = [*_requirements(context.folder, configuration.options), package_indexes(context, configuration)]
    return {name: value for text in texts for name, value in with_variables(text)[1].items()}


def _requirements(project: Path, options: Mapping[str, Any]) -> list[str]:
    python = options.get("python")
    return [str(python or ""), *map(text_of, named_files(project, python))]
