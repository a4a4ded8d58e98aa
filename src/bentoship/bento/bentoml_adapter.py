"""All uses of BentoML's internals, in the build process; tests/…/test_bentoml_adapter.py has a test for each hook.

But for `bento.specification` and `bento.uv_project`, no other module imports bentoml: that takes most of a second, and
reads the environment.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import bentoml
import yaml
from _bentoml_sdk import images  # type: ignore[import-untyped]  # it has no py.typed
from attrs import evolve
from bentoml._internal import configuration
from bentoml._internal.bento import BentoStore, build_config
from bentoml._internal.bento.build_config import BentoPathSpec
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.container.frontend.dockerfile import CONTAINER_METADATA
from bentoml._internal.models import ModelStore
from bentoml.exceptions import BentoMLException, ImportServiceError, InvalidArgument, NotFound
from bentoml.images import Image
from bentoml.models import BentoModel
from cattrs.errors import ForbiddenExtraKeysError

from bentoship.bento.asking import UvCalls
from bentoship.bento.content import content_version
from bentoship.bento.failures import Failure, FailureKind
from bentoship.bento.unsupported import (
    ignored_beside_image,
    name_of_model,
    reasons_of_first_format,
    reasons_of_image,
)
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError, causes, reason
from bentoship.packages import requirements
from bentoship.packages.target import Target
from bentoship.system.process import Completed
from bentoship.system.urls import without_passwords

_LOCK_GLIBC = 36
"""The minor version of glibc in BentoML's DEFAULT_LOCK_PLATFORM, on every host: the lock must not depend on it."""


def lock_platform(platform: str) -> str:
    """Return uv's name for what packages are locked for. Args: platform: such as "linux/amd64"."""
    return Target(platform, "", _LOCK_GLIBC).uv_platform


def parse_yaml_in_c() -> None:
    """Make BentoML's yaml.safe_load use the parser in C, which is faster than the default one in Python."""
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]  # mypy takes it for a type


def follow_includes(
    wheels: Path,
    flatten: Callable[[Path], str],
    separate: Callable[[str, Path], tuple[str, str]],
    build: Callable[[str, Mapping[str, Any], Path], tuple[str, Collection[Path]]],
) -> tuple[Collection[Path], set[Path]]:
    """Make BentoML read requirements by pip's rules, and keep their constraints and hashes beside its lock.

    It copies a file's text to another folder, where `-r more.txt` finds nothing, and its lock repeats no hash
    (_bentoml_sdk/images.py). The passwords of indexes that uv knows from the environment are left out of the lock.
    What it would build while the image is built, or pack as sources, is built here: sources get a wheel in the Bento.

    Args:
        wheels: the folder that keeps the wheels which are built.
        flatten: as `packages.requirements_file.flattened`.
        separate: as `packages.requirements_file.with_constraints`.
        build: as `bento.questions.with_wheels`, for a builder as `Builder.from_json` takes one.

    Returns: the files that are read so, and what wheels are built from, which grow as the service names them.
    """
    freeze, fix = Image._freeze_python_requirements, build_config.PythonOptions.fix_dep_urls
    read, built = set[Path](), set[Path]()
    orders: list[tuple[Mapping[str, Any], Path]] = []
    # Where it locks, and looks for wheels; before 1.4.36, it was beside the lock.
    home = "src" if "src_wheels" in freeze.__code__.co_varnames else "env/python"

    def requirements_file(self: Any, file_path: str) -> Any:
        read.update(requirements.with_includes(Path(file_path).absolute()))
        self.python_requirements += flatten(Path(file_path))
        self._after_pip_install = True
        return self

    def freeze_with_constraints(self: Any, bento_fs: Path, platform_: str | None = None) -> str:
        text, limits = separate(self.python_requirements, Path.cwd())
        version = ".".join(str(self.python_version).split(".")[:2])
        options = requirements.address_lines(text)
        builder = {"kept": wheels, "python": version, "options": options, "start": Path.cwd()}
        orders[:] = [(builder, bento_fs / home / "wheels")]
        self.python_requirements = asked = replaced(text)
        if limits:
            folder = bento_fs / "env" / "python"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / requirements.CONSTRAINTS).write_text(limits, "utf-8")
            # Without a lock, BentoML would take what they limit for what is required.
            self.python_requirements += f"-c {requirements.CONSTRAINTS}\n" if self.lock_python_packages else ""
        frozen = without_passwords(str(freeze(self, bento_fs, platform_)))
        if home == "src" and asked != text and "wheels" not in self.build_include_paths:
            self.build_include("wheels")  # as it does itself where it locks, so that its Dockerfile has them
        asked += limits  # which may have hashes, too
        return requirements.with_all_hashes(frozen, asked) if "--hash" in asked else frozen

    def replaced(text: str) -> str:
        for builder, into in orders:
            text, sources = build(text, builder, into)
            built.update(sources)
        return text

    def fix_lock(requirements_txt: str, *args: Any, **options: Any) -> None:
        lock = Path(requirements_txt)  # with what other packages, or a uv.lock, ask for
        lock.write_text(replaced(lock.read_text("utf-8")), "utf-8")
        fix(requirements_txt, *args, **options)

    build_config.PythonOptions.fix_dep_urls = staticmethod(fix_lock)  # type: ignore[method-assign]  # a hook
    Image.requirements_file = requirements_file
    Image._freeze_python_requirements = freeze_with_constraints
    return read, built


def call_uv_our_way(call: Callable[[Sequence[str], Path], Completed], python: str = "") -> None:
    """Make BentoML call the uv that installs packages, too, with what counts of the user's settings of it.

    It calls the first one in PATH, with the whole environment.

    Args:
        call: runs a command of uv's, wherever that is, in a folder.
        python: the version of Python that uv locks for unless it gets another one; empty for that of this process.
    """
    images.DEFAULT_PYTHON_VERSION = python or images.DEFAULT_PYTHON_VERSION
    configuration.get_uv_command = lambda: ["uv"]  # type: ignore[assignment]  # a hook
    images.subprocess = build_config.subprocess = UvCalls(call)  # type: ignore[assignment,attr-defined]  # a hook


def leave_out(names: Collection[str]) -> None:
    """Have BentoML leave files out of Bentos that it would pack.

    `exclude` would do that, too, but BentoML packs it in bentofile.yaml (Bento.create in
    bentoml/_internal/bento/bento.py): a Bento would then depend on files that it does not have. Each .bentoignore is
    among what decides on the names, so BentoML does not read it: it fails at UTF-16, and misses the first line after a
    byte order mark.

    Args:
        names: the files' paths in the project; those of folders end in a slash.
    """
    includes, folders = BentoPathSpec.includes, tuple(name for name in names if name.endswith("/"))
    init = BentoPathSpec.__init__

    def init_without_ignore_files(self: BentoPathSpec, include: Any, exclude: Any, ctx_dir: str = ".") -> None:
        init(self, include, exclude, ctx_dir, recurse_ignore_filename="no file has this name")

    def includes_others(self: BentoPathSpec, path: str) -> bool:
        name = path.removeprefix("./")
        return name not in names and not name.startswith(folders) and includes(self, path)

    BentoPathSpec.__init__ = init_without_ignore_files  # type: ignore[method-assign,assignment]  # a hook
    BentoPathSpec.includes = includes_others  # type: ignore[method-assign]  # a hook


def build(options: Mapping[str, Any], context: BuildContext, scratch: Path) -> Path:
    """Build a Bento into a separate store; the project becomes the working directory.

    In the user's store, BentoML would fail if there were another Bento that it cannot read.

    Args:
        options: as of a bentofile.yaml.
        context: what it is built from.
        scratch: a folder for that store, and for what BentoML leaves behind when a build fails.

    Returns: the Bento's folder, NAME/VERSION in that store. Raises: whatever BentoML raises (see `failure_of`).
    """
    BentoMLContainer.tmp_bento_store_dir.set(str(scratch))
    if not (options.get("docker") or {}).get("python_version"):
        _pack_no_default_python()
    store, bentofile = scratch / "bentos", scratch / "bentofile.yaml"
    store.mkdir()
    bentofile.write_text(yaml.safe_dump(options, sort_keys=False), "utf-8")
    os.chdir(context.folder)
    arguments: Any = {"args": dict(context.arguments)} if context.arguments else {}
    bento = bentoml.bentos.build_bentofile(
        str(bentofile),
        version="building",
        build_ctx=str(context.folder),
        platform=lock_platform(context.platform),
        _bento_store=BentoStore(store),
        **arguments,
    )
    return Path(bento.path)


def _pack_no_default_python() -> None:
    """Have the bentofile that BentoML packs leave the Python open, as the project's own does.

    BentoML fills in that of this process (DockerOptions.with_defaults in bentoml/_internal/bento/build_config.py), even
    if the Image in the service names another one: a Bento would then depend on this machine.
    """
    write = build_config.BentoBuildConfig.to_yaml

    def write_without_python(self: Any, stream: Any) -> None:
        write(evolve(self, docker=evolve(self.docker, python_version=None)), stream)

    build_config.BentoBuildConfig.to_yaml = write_without_python  # type: ignore[method-assign]  # a hook


def take(context: BuildContext, scratch: Path, store: Path) -> Path:
    """Return the folder of a Bento that is built already; an exported one is put into a store, its models into theirs.

    Args:
        context: names it.
        scratch: a folder for what is unpacked.
        store: the store for an exported one.

    Raises: BentoError for a file that is no exported Bento, or another than the store has; and what BentoML raises.
    """
    file = context.folder / context.bento
    if not file.is_file():
        return Path(bentoml.bentos.get(context.bento).path)
    (scratch / "bentos").mkdir()
    bento, content = _imported(file, BentoStore(scratch / "bentos"))
    kept = context.store / bento.tag.path()
    if kept.is_dir():
        if content_version(kept) != content:
            why = f"it holds another {bento.tag} than the Bento store has in {kept}"
            hint = f"Delete that one (`bentoml delete {bento.tag}`), or publish it by its tag: `BENTO={bento.tag}`."
            raise BentoError(f"Take the Bento in {context.bento}", why, hint)
        return kept
    place = store / bento.tag.path()
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(bento.path, place)
    return place


def _imported(file: Path, store: BentoStore) -> tuple[bentoml.Bento, str]:
    """Return the Bento in an exported file, and its `content_version`.

    Raises: BentoError for a file that holds none or is damaged, for which BentoML and its libraries have no one type.
    """
    try:
        bento = bentoml.bentos.import_bento(str(file), _bento_store=store)
        return bento, content_version(Path(bento.path))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        why = f"it is no exported Bento, or it is damaged ({type(error).__name__}: {reason(error)})"
        hint = f"Export it again: `bentoml export NAME:VERSION {file.name}`."
        raise BentoError(f"Read {file.name}", why, hint) from error


def describe(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a Bento that the rest of the publisher uses, as JSON values.

    Args:
        path: the Bento's folder.
        options: of its Configuration.
    """
    bento = bentoml.Bento.from_path(str(path))
    info: Any = bento.info
    image = getattr(info, "image", None)
    first = None if image else info.docker  # BentoML's first format
    variables = (first and first.env) or {}
    models = [bentoml.models.get(m.tag) for m in info.all_models if m.registry == "bentoml"]
    return {
        "name": bento.tag.name,
        "version": bento.tag.version,
        "path": str(bento.path),
        "models": [
            {
                "name": model.tag.name,
                "version": model.tag.version,
                "path": str(model.path),
                **{
                    name: json.loads(json.dumps(model.info.to_dict().get(name) or {}, default=str))
                    for name in ("metadata", "labels", "options")
                },
            }
            for model in models
        ],
        "python_version": _minor((image or info.docker).python_version or platform.python_version()),
        "base_image": (options.get("docker") or {}).get("base_image") or _chosen_base(image, first),
        "envs": [
            *({"name": name, "value": value or "", "stage": "all"} for name, value in variables.items()),
            *({"name": e.name, "value": e.value, "stage": _stage(e)} for e in info.envs),
        ],
        "labels": {str(k): str(v) for k, v in info.labels.items()},
        "arguments": {str(k): str(v) for k, v in (getattr(info, "args", None) or {}).items()},
        "needs_dockerfile": _needs_dockerfile(info, image, options),
        "notes": ignored_beside_image(options) if image else [],
    }


def _minor(version: str) -> str:
    """Return the minor version of Python: of "3.11.9", which an Image may ask for, "3.11"."""
    return ".".join(version.split(".")[:2])


def _stage(variable: Any) -> str:
    """Return when a variable is set: "all", "runtime", or "build". Before BentoML 1.4.32 all were set always."""
    return str(getattr(variable, "stage", "all"))


def _chosen_base(image: Any, first: Any) -> str:
    """Return the base image that the Bento asks for; empty where BentoML only filled in its default.

    Args:
        image: of the second format; None in the first one.
        first: what the first format has in its place.
    """
    if first:
        return first.base_image or ""
    default = f"python:{image.python_version}-slim" if image else ""
    return "" if not image or image.base_image == default else str(image.base_image)


def _needs_dockerfile(info: Any, image: Any, options: Mapping[str, Any]) -> list[str]:
    """Return every reason why a Bento cannot be assembled from layers, as phrases."""
    commands = [*image.commands, *image.post_commands] if image else []
    return [
        *reasons_of_image(commands, options.get("docker"), CONTAINER_METADATA),
        *(() if image else reasons_of_first_format(info, options.get("docker"))),
        *(f"the variable {e.name} of stage build" for e in info.envs if _stage(e) == "build"),
        *(name_of_model(model) for model in info.all_models if model.registry != "bentoml"),
    ]


ASKED_BENTOCLOUD = " and failed to fetch from remote"
"""The start of BentoML's remark about BentoCloud, which it queries for a model that is not in the store."""

# For an unknown key in a section of bentofile.yaml there is only a TypeError, with Python's usual message, which names
# the class since Python 3.10; since 3.13, a second sentence there says which key was meant.
_UNKNOWN_OPTION = re.compile(r"((?P<options>\w+Options)\.)?__init__\(\) got an unexpected keyword \w+ '(?P<key>\w+)'")


def failure_of(error: BaseException) -> Failure:
    """Return the failure that an error raised by BentoML means."""
    if isinstance(error, ForbiddenExtraKeysError):
        return _unknown_key(error.cl.__name__, ", ".join(sorted(error.extra_fields)))
    if isinstance(error, TypeError) and (unknown := _UNKNOWN_OPTION.match(str(error))):
        return _unknown_key(unknown["options"] or "", unknown["key"])
    if missing := _missing_model(error):
        return Failure(FailureKind.MISSING_MODEL, missing)
    # BentoML has no type for a failed lock, in either of its formats.
    if isinstance(error, BentoMLException) and isinstance(error.__context__, CalledProcessError):
        return Failure(FailureKind.LOCK, str(error))
    if isinstance(error, (OSError, ValueError)) and (wheel := _wheel_of(error)):
        why = reason(error)
        return Failure(FailureKind.WHEEL, why if wheel in why else f"{wheel}: {why}")
    kind = FailureKind.SERVICE if isinstance(error, (ImportServiceError, ImportError)) else FailureKind.OTHER
    if isinstance(error, ImportServiceError):  # raised in bentoml's own frames: no such module or attribute
        error = causes(error)[-1]
    plain = type(error) in {BentoMLException, InvalidArgument, ValueError, NotFound, requirements.RequirementsError}
    return Failure(kind, str(error) if plain else f"{type(error).__name__}: {error}")


def _unknown_key(options: str, key: str) -> Failure:
    """Return the failure for a key unknown to a class of BentoML's options ("DockerOptions" for the section docker)."""
    section = f" in its section {options.removesuffix('Options').lower()}" if options.endswith("Options") else ""
    return Failure(FailureKind.UNKNOWN_KEY, f"unknown key{section}: {key}")


def _wheel_of(error: BaseException) -> str:
    """Return the wheel that BentoML could not copy (PythonOptions.write_to_bento); empty for another error."""
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = next((str(names["whl_file"]) for names in frames if "whl_file" in names), "")
    return found.removeprefix(f"{os.path.realpath('.')}/")


def _missing_model(error: BaseException) -> str:
    """Return which model is missing, in a sentence; empty for another error. BentoML has no type for a missing model.

    A model that is declared asks BentoCloud when it is not in the store; before 1.4.30, it says only why that failed.
    """
    frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    model = next((own for own in frames if isinstance(own, BentoModel)), None)
    if model is not None and isinstance(error, BentoMLException):
        return f"Model {model.tag} could not be found locally"
    return str(error) if frames and isinstance(error, NotFound) and isinstance(frames[-1], ModelStore) else ""
