"""The files of a project's experiment: how its models were trained, and how good they are.

They are params.yaml, metrics.json, dvc.lock, and the files of metrics that dvc.yaml names, whether DVC has written them
(dvc.org/doc/user-guide/project-structure) or not. They are in the project's folder, or in a parent up to that of the
DVC pipeline.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bentoship.errors import reason
from bentoship.image.metadata import Data, Value, flattened, is_number, plain
from bentoship.system.documents import read_bytes
from bentoship.system.git import upwards

PARAMETERS, METRICS, LOCK, PIPELINE = "params.yaml", "metrics.json", "dvc.lock", "dvc.yaml"

_CODE = (".py", ".ipynb", ".sh", ".r", ".jl", ".yaml", ".yml", ".toml")
_SOURCES = frozenset({"src", "code", "scripts", "lib", "notebooks"})
_MODELS = frozenset({"model", "models", "checkpoints", "weights"})
_WEIGHTS = (
    ".bentomodel", ".ckpt", ".gguf", ".h5", ".joblib", ".keras", ".onnx", ".pickle", ".pkl", ".pt", ".pth",
    ".safetensors",
)  # fmt: skip

_SHOWN = 3
"""How many differences a note names."""


@dataclass
class Experiment:
    """The values of an experiment.

    Args:
        metrics: finite numbers by name.
        parameters: hyperparameters by name.
        data: the training data.
        notes: sentences on what is left out.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)
    data: tuple[Data, ...] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Files:
    """The files of an experiment.

    Args:
        contents: their contents, by path from the project.
        roles: which each is, such as PARAMETERS, by the same paths; METRICS for every file of metrics.
        notes: sentences on files that cannot be read.
    """

    contents: Mapping[str, bytes]
    roles: Mapping[str, str]
    notes: tuple[str, ...]


def read_files(project: Path) -> Files:
    """Return the files of a project's experiment: the nearest of each name, none above the folder of a DVC pipeline."""
    contents: dict[str, bytes] = {}
    roles: dict[str, str] = {}
    notes: list[str] = []

    def take(file: Path, role: str) -> None:
        name = os.path.relpath(file, project)
        if name in roles or not file.is_file():
            return
        try:
            contents[name] = read_bytes(file)
            roles[name] = role
        except OSError as error:
            notes.append(_left_out(name, reason(error)))

    for folder in upwards(project):
        for role in (PARAMETERS, METRICS, LOCK, PIPELINE):
            if role not in roles.values():
                take(folder / role, role)
        if any((folder / name).is_file() for name in (LOCK, PIPELINE)):
            break
    for name in [name for name, role in roles.items() if role == PIPELINE]:
        for file in _metrics_of(name, contents[name], notes):
            take(project / PurePosixPath(name).parent / file, METRICS)
    return Files(contents, roles, tuple(notes))


def parsed(files: Files) -> Experiment:
    """Return the values in the files of an experiment."""
    from bentoship.bento.documents import parse  # not when they are known

    found = Experiment(notes=list(files.notes))
    documents: dict[str, dict[str, Any]] = {}
    for name, content in files.contents.items():
        try:
            document = parse(name, content)
            documents[name] = document if files.roles[name] in (LOCK, PIPELINE) else flattened(document)
        except ValueError as error:
            found.notes.append(_left_out(name, str(error)))
    of_role = {role: [name for name in documents if files.roles[name] == role] for role in (PARAMETERS, METRICS, LOCK)}
    for name in of_role[LOCK]:
        _add_lock(found, name, documents[name])
    for name in of_role[PARAMETERS]:
        _add_parameters(found, name, {key: plain(value) for key, value in documents[name].items()})
    pipelines = [name for name, role in files.roles.items() if role == PIPELINE]
    top = PurePosixPath(pipelines[0]).parent if pipelines else "."
    for name in sorted(of_role[METRICS], key=lambda name: (PurePosixPath(name).name == METRICS, name)):
        prefix = _prefix(os.path.relpath(name, top)) if len(of_role[METRICS]) > 1 else ""
        found.metrics |= numbers({f"{prefix}{key}": value for key, value in documents[name].items()}, name, found.notes)
    return found


def numbers(values: Mapping[str, Any], place: str, notes: list[str]) -> dict[str, float]:
    """Return the values that are numbers.

    Args:
        values: values by name.
        place: the file that they are from, for a note.
        notes: gets a sentence on numbers that JSON cannot express.
    """
    wrong = [name for name, value in values.items() if type(value) in (int, float) and not is_number(value)]
    if wrong:
        notes.append(f"not among the image's metrics: {_first(wrong)} in {place}, not a finite number")
    return {name: value for name, value in values.items() if is_number(value)}


def _left_out(name: str, why: str) -> str:
    return f"{name} is not among the image's metadata: {why}"


def _first(names: Iterable[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:_SHOWN]) + (f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else "")


def _prefix(path: str) -> str:
    """Return the prefix for names from one of several files of metrics: "eval.test." for eval/test.json."""
    parts = PurePosixPath(path).with_suffix("").parts
    return "".join(f"{part}." for part in (parts[:-1] if parts[-1] == "metrics" else parts))


def _metrics_of(name: str, content: bytes, notes: list[str]) -> list[str]:
    """Return the paths of the files of metrics that a dvc.yaml names, from its folder.

    They are listed for a stage or at the top; each is a text, or the only key of an object with options.
    """
    from bentoship.bento.documents import parse  # only where there is one

    try:
        pipeline = parse(name, content)
    except ValueError:  # which is noted when it is read with the others
        return []
    stages = pipeline.get("stages")
    places = [(stage.get("wdir"), stage.get("metrics")) for stage in _objects(stages)]
    found = []
    for folder, listed in [("", pipeline.get("metrics")), *places]:
        for entry in listed if isinstance(listed, list) else [listed]:
            for path in entry if isinstance(entry, Mapping) else [entry]:
                if isinstance(path, str) and path:
                    found.append(os.path.normpath(PurePosixPath(str(folder or ""), path)))
    inside = [path for path in found if "${" not in path and not path.startswith(("/", ".."))]
    if left := set(found) - {*inside}:
        notes.append(_left_out(_first(left), "bentoship follows no variables, and no paths out of the pipeline"))
    return sorted(set(inside))


def _objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in an object or a list; none for anything else."""
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [one for one in values if isinstance(one, Mapping)]


def _add_lock(found: Experiment, name: str, lock: Mapping[str, Any]) -> None:
    """Add the data and the parameters of a dvc.lock. Those of params.yaml are compared with that file afterwards."""
    # Before DVC 2, the stages were at the top.
    stages = _objects(lock.get("stages", lock))
    data = {one for stage in stages for one in _data_of(stage)}
    found.data = tuple(sorted(data, key=lambda one: (one.path, one.digest)))
    for stage in stages:
        files = stage.get("params")
        for file, values in files.items() if isinstance(files, Mapping) else ():
            try:
                known = flattened(values) if isinstance(values, Mapping) else {}
            except ValueError as error:
                found.notes.append(_left_out(f"{file} in {name}", str(error)))
                continue
            found.parameters |= {key: plain(value) for key, value in known.items()}


def _add_parameters(found: Experiment, name: str, parameters: Mapping[str, Value]) -> None:
    """Add the parameters of params.yaml, which win: it may have been changed since the pipeline ran."""
    before = found.parameters
    if changed := [key for key in parameters if key in before and before[key] != parameters[key]]:
        found.notes.append(
            f"{name} has another value than {LOCK} for {_first(changed)}: the pipeline has not run with it yet"
        )
    found.parameters = {**before, **parameters}


def _data_of(stage: Mapping[str, Any]) -> Iterator[Data]:
    """Yield the data that a stage reads or writes: no code, no model, no report."""
    for kind in ("deps", "outs"):
        for entry in _objects(stage.get(kind)):
            path, digest, size = entry.get("path"), _digest(entry), entry.get("size")
            if isinstance(path, str) and path and digest and _is_data(path, is_read=kind == "deps"):
                yield Data(path, digest, size if type(size) is int and 0 <= size < 2**63 else None)


def _digest(entry: Mapping[str, Any]) -> str:
    """Return the digest of an entry of a dvc.lock, such as "md5:…"; empty where it has none."""
    names = [str(entry.get("hash")), "md5", "sha256", "etag", "checksum"]
    places = [entry, *_objects(entry.get("cloud"))]
    known = (f"{name}:{place[name]}" for name in names for place in places if isinstance(place.get(name), str))
    return next(known, "")


def _is_data(path: str, *, is_read: bool) -> bool:
    """Return whether a path in a pipeline is data, judging by its name and by whether a stage reads it."""
    place = PurePosixPath(path.lower())
    if place.suffix in _CODE:
        return False
    if any("data" in part for part in place.parts):
        return True
    parts = {PurePosixPath(part).stem for part in place.parts}
    return is_read and place.suffix not in _WEIGHTS and not parts & (_SOURCES | _MODELS) and parts != {"requirements"}
