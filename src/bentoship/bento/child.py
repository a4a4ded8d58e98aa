"""The process that imports the user's service and builds its Bento; the only part of the publisher that knows bentoml.

One process per build: a second build in the same one would pack the first one's modules again. It is told what to do
by a JSON file and answers into another, because the service may print whatever it likes while it is imported.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import sys
import tarfile
import traceback
from collections.abc import Collection, Iterator, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import yaml

from bentoship.bento.content import content_version, titled
from bentoship.bento.description import fingerprint, traced
from bentoship.bento.inputs import NEVER_PACKED, input_states, read_bentofile
from bentoship.packages.requirements import flattened

if TYPE_CHECKING:
    from bentoml import Bento


def main(order_file: str, answer_file: str) -> None:
    """Do what a file orders, and write {"bento": …} or {"error": …} to another."""
    gc.disable()  # it takes a tenth of an import, after which little else is done
    order = json.loads(Path(order_file).read_text("utf-8"))
    _leave_no_byte_code(Path(order["project"]))
    # BentoML reads a dozen files by yaml.safe_load, which takes a parser in Python unless it is told of the one in C.
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]  # mypy takes it for a type
    try:
        answer = {"bento": _build(order)}
    except BaseException as error:  # a service may raise anything when it is imported, SystemExit too
        traceback.print_exc()
        answer = {"error": _explain(error, Path(order["project"]))}
    Path(answer_file).write_text(json.dumps(answer), "utf-8")
    sys.stdout.flush()
    # Threads that the service started on import must not keep this process.
    os._exit(0)


def _leave_no_byte_code(project: Path) -> None:
    """Keep byte-code for the packages, so that they are compiled once; not among the user's files, which git sees."""
    keep = SourceFileLoader.set_data

    def elsewhere(self: SourceFileLoader, path: str, data: bytes, *, _mode: int = 0o666) -> None:
        if not _is_own(path, project):
            keep(self, path, data, _mode=_mode)

    # Python has no other way to say where byte-code of some modules alone is kept.
    SourceFileLoader.set_data = elsewhere  # type: ignore[method-assign,assignment]


def _build(order: dict[str, Any]) -> dict[str, Any]:
    import bentoml
    from bentoml._internal.configuration.containers import BentoMLContainer

    # What BentoML leaves there goes at the end of its process, but this one ends at once.
    BentoMLContainer.tmp_bento_store_dir.set(order["scratch"])
    project = Path(order["project"])
    _follow_includes()
    imported = [tag for tag in map(_import_model, map(Path, order["models"])) if tag]
    options = read_bentofile(Path(order["bentofile"]))
    guarded = {**options, "exclude": [*(options.get("exclude") or []), *NEVER_PACKED]}
    bentofile = Path(order["scratch"], "bentofile.yaml")
    bentofile.write_text(yaml.safe_dump(guarded, sort_keys=False), "utf-8")
    os.chdir(project)
    _remove_abandoned(Path(order["bentoml_home"]))
    files = input_states(project, Path(order["bentofile"]))
    with traced() as run:
        built = bentoml.bentos.build_bentofile(
            str(bentofile),
            build_ctx=str(project),
            version=f"building-{os.getpid()}",
            platform=order["lock_platform"],
        )
    try:
        described = _describe(_named_by_content(built, order["into"]), options)
        return {**described, "imported_models": imported, "files": files, "modules": _modules(run, project)}
    finally:
        bentoml.bentos.delete(built.tag)


def _modules(run: Collection[CodeType], project: Path) -> dict[str, dict[str, Any]]:
    """The project's modules that were imported: what decides of each, and which of its functions were run."""
    found: dict[str, set[str]] = {}
    for code in run:
        if code.co_filename.endswith(".py") and _is_own(code.co_filename, project):  # templates are run as code, too
            found.setdefault(code.co_filename, set()).add(code.co_qualname)
    return {
        Path(file).relative_to(project).as_posix(): {
            "fingerprint": fingerprint(Path(file).read_bytes(), names),
            "run": sorted(names),
        }
        for file, names in found.items()
        if "<module>" in names
    }


def _follow_includes() -> None:
    """Have BentoML read requirements files with those that they include.

    It copies a file's text to another folder, where `-r more.txt` finds nothing (_bentoml_sdk/images.py).
    """
    from bentoml.images import Image

    def requirements_file(self: Any, file_path: str) -> Any:
        self.python_requirements += flattened(Path(file_path))
        self._after_pip_install = True
        return self

    Image.requirements_file = requirements_file


def _import_model(archive: Path) -> str | None:
    """Bring an exported model into the store unless it is there; its tag when it was brought."""
    import bentoml

    with tarfile.open(archive) as members:
        name = next(n for n in members.getnames() if n.removeprefix("./") == "model.yaml")
        info = yaml.safe_load(members.extractfile(name) or b"")
    tag = f"{info['name']}:{info['version']}"
    try:
        bentoml.models.get(tag)
    except bentoml.exceptions.NotFound:
        bentoml.models.import_model(str(archive))
        return tag
    return None


def _remove_abandoned(home: Path) -> None:
    """Remove what builds that were killed have left in the store of Bentos."""
    for folder in (home / "bentos").glob("*/building-*"):
        process = folder.name.removeprefix("building-")
        if process.isdecimal() and not _is_alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _named_by_content(built: Bento, into: str | None) -> Bento:
    """The same Bento under the version that its content tells, in the store, or in a folder outside of it."""
    import bentoml

    version = content_version(Path(built.path))
    copy = Path(into) if into else Path(built.path).with_name(f"renaming-{os.getpid()}")
    shutil.copytree(built.path, copy, symlinks=True, dirs_exist_ok=True)
    text = (copy / "bento.yaml").read_text("utf-8")
    (copy / "bento.yaml").write_text(re.sub(r"(?m)^version: .*$", f"version: {version}", text, count=1), "utf-8")
    readme = copy / "README.md"
    readme.write_bytes(titled(readme.read_bytes(), str(built.tag.version), version))
    if into:
        return bentoml.Bento.from_path(into)
    try:
        # The same content, but perhaps damaged since, in which case BentoML would not delete it.
        shutil.rmtree(copy.with_name(version), ignore_errors=True)
        return bentoml.bentos.import_bento(str(copy), "folder")
    finally:
        shutil.rmtree(copy)


def _describe(bento: Bento, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the rest of the publisher has to know of a Bento, as plain values."""
    import bentoml

    info = bento.info
    image = getattr(info, "image", None)
    models = [m for m in info.all_models if m.registry == "bentoml"]
    return {
        "name": bento.tag.name,
        "version": bento.tag.version,
        "path": str(bento.path),
        "models": [
            {
                "name": m.tag.name,
                "version": m.tag.version,
                "path": str(bentoml.models.get(m.tag).path),
                "metadata": json.loads(json.dumps(dict(bentoml.models.get(m.tag).info.metadata), default=str)),
            }
            for m in models
        ],
        "python_version": image.python_version if image else "",
        "base_image": (options.get("docker") or {}).get("base_image") or _chosen_base(image),
        "envs": [{"name": e.name, "value": e.value, "stage": e.stage} for e in info.envs],
        "labels": {str(k): str(v) for k, v in info.labels.items()},
        "needs_dockerfile": _needs_dockerfile(info, image),
    }


def _chosen_base(image: Any) -> str:
    """The base image that the Bento asks for; empty where BentoML only filled in its default."""
    default = f"python:{image.python_version}-slim" if image else ""
    return "" if not image or image.base_image == default else str(image.base_image)


def _needs_dockerfile(info: Any, image: Any) -> list[str]:
    """Every reason why this Bento cannot be put together from layers, in words."""
    from bentoml._internal.container.frontend.dockerfile import CONTAINER_METADATA

    if image is None:
        return ["conda, docker.cuda_version, docker.dockerfile_template or python.wheels (BentoML's first format)"]
    # BentoML puts each distribution's own install command first; it prepares pip and matters to nothing here.
    defaults = {str(data["default_install_command"]) for data in CONTAINER_METADATA.values()}
    reasons = [f"runs `{c}` (system_packages, setup_script or run)" for c in image.commands if c not in defaults]
    reasons += [f"runs `{command}` after the packages" for command in image.post_commands]
    reasons += [f"the variable {e.name} of stage build" for e in info.envs if e.stage == "build"]
    reasons += [f"the model {m.tag} of {m.registry}" for m in info.all_models if m.registry != "bentoml"]
    return reasons


def _explain(error: BaseException, project: Path) -> dict[str, str]:
    """An error in one line, with where in the user's own files it came from."""
    top = _leaves(error)[-1]
    # BentoML wraps what a service's module raises. The deepest error that comes from the user's files is the one to
    # mend; what comes from nowhere in them, BentoML's own words tell better than its cause.
    for cause in reversed(list(_chain(top))):
        if where := _place(cause, project):
            said = cause.msg if isinstance(cause, SyntaxError) else cause
            return {"kind": type(error).__name__, "message": f"{type(cause).__name__}: {said} ({where})"}
    if type(top).__name__ == "ImportServiceError":  # its cause in bentoml's own frames: no such module or attribute
        top = list(_chain(top))[-1]
    named = type(top).__name__ in {"BentoMLException", "InvalidArgument", "ValueError", "NotFound"}
    return {"kind": type(error).__name__, "message": str(top) if named else f"{type(top).__name__}: {top}"}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    current: BaseException | None = error
    while current:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _place(error: BaseException, project: Path) -> str:
    """Where in the project an error was raised; empty for elsewhere."""
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename, project):
        return f"{Path(error.filename).relative_to(project)}, line {error.lineno}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename, project)]
    return f"{Path(own[-1].filename).relative_to(project)}, line {own[-1].lineno}" if own else ""


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group, such as cattrs raises for a bentofile.yaml with unknown keys."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _is_own(filename: str, project: Path) -> bool:
    path = Path(filename)
    ours = Path(__file__).parents[1]
    foreign = {"site-packages", ".venv", "venv"} & set(path.parts)
    return path.is_relative_to(project) and not path.is_relative_to(ours) and not foreign
