"""The metadata of a Bento's image: from the Bento, its models, and the files of the project's experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentoship.bento import experiment
from bentoship.bento.experiment import Experiment, Files, numbers
from bentoship.bento.packing import SECRETS_IGNORED
from bentoship.bento.values import Bento, BuildContext, Model
from bentoship.errors import reason
from bentoship.image.metadata import Data, Metadata, flattened, plain
from bentoship.image.metadata import Model as ModelMetadata
from bentoship.system import records
from bentoship.system.documents import DOCUMENT, read_bytes
from bentoship.system.git import nearest

# Raise it when the same files give another result, so that what was read before is read again.
_VERSION = "2"

_DESCRIPTION = 300
"""The characters that a description has at most."""

_METRICS = ("metrics",)
_PARAMETERS = ("hyperparameters", "parameters", "params")
_DATA = ("data", "dataset", "training_data")
"""The sections of a model's metadata with metrics, hyperparameters and training data, by each of their names."""

_README = 20_000
"""The characters of a README in which the first sentences are looked for."""

_CUT = r"(?s)\A---\n.*?\n---\n|<!--.*?-->|```.*?```"
"""Parts of Markdown whose lines may look like sentences: front matter, comments, code."""

_NO_TEXT = r"\s*(?:$|#|=+\s*$|-+\s*$|<|\||\[!\[|!\[|> *\[!)"
"""The beginning of a line of Markdown that is no sentence: a heading, HTML, a table, a badge."""

_DEFAULT = "This is a Machine Learning Service created with BentoML."
"""BentoML's text for a Bento without a description (get_default_svc_readme in bentoml/_internal/bento/bento.py)."""

_IDENTIFIER = r"\(*[A-Za-z0-9][A-Za-z0-9.:+-]*\)*"
_SPDX = rf"(?i){_IDENTIFIER}(?: (?:AND|OR|WITH) {_IDENTIFIER})*"


def with_metadata(context: BuildContext, bento: Bento) -> Bento:
    """Return a Bento with its image's metadata, and with notes on what that leaves out.

    The project's files count only if the Bento was built from them, not for one that `BENTO` names.

    Args:
        context: what it was built from.
        bento: the Bento, in the store.

    Raises: BentoError for what looks like a secret.
    """
    found, notes = (Metadata(), []) if context.bento else project_metadata(context)
    models = tuple(ModelMetadata.of(model.tag, model.metadata, model.labels, model.options) for model in bento.models)
    _check_models(context, bento.models)
    own = [_of_model(model) for model in bento.models]
    # If several models have such values, the names of each begin with the model's.
    several = sum(bool(one.metrics or one.parameters) for one in own) > 1
    metrics: dict[str, float] = {}
    parameters: dict[str, Any] = {}
    for model, one in zip(bento.models, own, strict=True):
        prefix = f"{model.name}." if several else ""
        metrics |= {f"{prefix}{name}": value for name, value in one.metrics.items()}
        parameters |= {f"{prefix}{name}": value for name, value in one.parameters.items()}
        notes += one.notes
    metadata = replace(
        found,
        description=_description(bento.path),
        models=models,
        metrics={**metrics, **found.metrics},
        parameters={**parameters, **found.parameters},
        data=(*found.data, *(one for model in own for one in model.data if one not in found.data)),
    )
    return replace(bento, metadata=metadata, notes=(*bento.notes, *notes))


def project_metadata(context: BuildContext) -> tuple[Metadata, list[str]]:
    """Return the metadata in the files of a project's experiment, and notes on what it leaves out.

    Files are parsed once per content.

    Raises: BentoError for what looks like a secret.
    """
    files, licence = experiment.read_files(context.folder), _pyproject(context.folder)
    contents = [f"{name} {files.roles[name]}\n".encode() + content for name, content in files.contents.items()]
    record = _record(context, "experiment", *contents, licence, *map(str.encode, files.notes))
    known = records.read_as(record, lambda data: (Metadata.parse(data[0], data[1].encode()), [*map(str, data[2])]))
    if known:
        return known
    found = experiment.parsed(files)
    _refuse_secrets(context, files, found)
    licenses, notes = _licenses(licence)
    metadata = Metadata(licenses=licenses, metrics=found.metrics, parameters=found.parameters, data=found.data)
    notes = [*found.notes, *notes]
    records.keep(record, (metadata.annotations, metadata.document.decode(), notes))
    return metadata, notes


def _record(context: BuildContext, kind: str, *contents: bytes) -> Path:
    """Return the file that records what was found in contents, as long as the same secrets are allowed."""
    ignored = context.folder / SECRETS_IGNORED
    allowed = [*context.secrets_allowed, ignored.read_text("utf-8", "replace") if ignored.is_file() else ""]
    texts = (content.decode("utf-8", "surrogateescape") for content in contents)
    return context.records / f"{kind}-{records.key_of(_VERSION, *allowed, *texts)}.json"


def _refuse_secrets(context: BuildContext, files: Files, found: Experiment) -> None:
    """Raise BentoError if there is a secret in the files, or a parameter is named like one."""
    from bentoship.bento.secrets import Scanner  # only when they have changed

    sources = [name for name, role in files.roles.items() if role in (experiment.PARAMETERS, experiment.LOCK)]
    Scanner(context).refuse_metadata(files.contents, dict.fromkeys(sources[:1], found.parameters))


def _check_models(context: BuildContext, models: Iterable[Model]) -> None:
    """Raise BentoError if there is a secret in what was noted with a model."""
    noted = {f"models/{model.name}/{model.version}/model.yaml": found for model in models if (found := _noted(model))}
    contents = {name: _to_lines(values) for name, values in noted.items()}
    record = _record(context, "noted", *(f"{name}\n".encode() + content for name, content in contents.items()))
    if contents and not records.read_as(record, bool):
        from bentoship.bento.secrets import Scanner  # only when they have changed

        Scanner(context).refuse_metadata(contents, noted)
        records.keep(record, True)


def _noted(model: Model) -> dict[str, Any]:
    """Return all values that are noted with a model, by their names."""
    kinds = {"metadata": model.metadata, "labels": model.labels, "options": model.options}
    found: dict[str, Any] = {}
    for kind, values in kinds.items():
        with suppress(ValueError):  # nothing of these is published
            found |= {f"{kind}.{name}": value for name, value in flattened(values).items()}
    return found


def _to_lines(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, indent=0, ensure_ascii=False, default=str, skipkeys=True)
    return text.encode("utf-8", "replace")


def _of_model(model: Model) -> Experiment:
    """Return what a model's own metadata says about its training.

    Numbers are metrics: those in its section `metrics` or, if it has none, all outside of the other sections.
    """
    found = Experiment()
    others = dict(model.metadata)
    metrics, parameters, data = (
        [others.pop(name) for name in names if isinstance(others.get(name), Mapping)]
        for names in (_METRICS, _PARAMETERS, _DATA)
    )
    try:
        for values in metrics or [others]:
            found.metrics |= numbers(flattened(values), f"the metadata of the model {model.tag}", found.notes)
        for values in parameters:
            found.parameters |= {name: plain(value) for name, value in flattened(values).items()}
    except ValueError as error:
        found.notes.append(f"the metadata of the model {model.tag} is left out: {error}")
    found.data = tuple(one for values in data for one in _data(values))
    return found


def _data(values: Mapping[str, Any]) -> list[Data]:
    """Return the data that a section of a model's metadata describes, if it has its digest."""
    digest, size = values.get("digest"), values.get("size")
    name = next((values[key] for key in ("path", "name") if isinstance(values.get(key), str)), "") or "data"
    return [Data(name, digest, size if type(size) is int else None)] if isinstance(digest, str) and digest else []


def _description(bento: Path) -> str:
    """Return the first sentences of a Bento's README.md, where BentoML puts its description; empty for its default."""
    try:
        text = read_bytes(bento / "README.md", 4 * DOCUMENT).decode("utf-8", "replace")
    except OSError:
        return ""
    lines: list[str] = []
    for line in re.sub(_CUT, "", text.removeprefix("\ufeff")[:_README].replace("\r\n", "\n")).split("\n"):
        if not re.match(_NO_TEXT, line):
            lines.append(" ".join(line.split()))
        elif re.fullmatch(r"\s*(?:=+|-+)\s*", line):  # they were a heading
            lines.clear()
        elif lines:
            break
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(lines))
    words = re.sub(r"[\x00-\x1f\x7f-\x9f]|\*\*|`", "", words).lstrip("> ")
    if words == _DEFAULT:
        return ""
    start = words[:_DESCRIPTION]
    return words if words == start else f"{start.rpartition(' ')[0] or start} …"


def _pyproject(project: Path) -> bytes:
    """Return the content of the nearest pyproject.toml; empty if there is none, or it cannot be read."""
    with suppress(OSError):
        return b"".join(read_bytes(file) for file in nearest(project, "pyproject.toml"))
    return b""


def _licenses(pyproject: bytes) -> tuple[str, list[str]]:
    """Return the licence that a pyproject.toml names, as an SPDX expression (PEP 639), and a note on another text."""
    import tomllib  # not when it is known

    try:
        project = tomllib.loads(pyproject.decode("utf-8-sig")).get("project")
    except (ValueError, RecursionError) as error:
        return "", [f"the licence is not among the image's metadata: pyproject.toml cannot be read ({reason(error)})"]
    given = project.get("license") if isinstance(project, Mapping) else None
    text = given.get("text") if isinstance(given, Mapping) else given  # a table before PEP 639
    if isinstance(text, str) and len(text) < _DESCRIPTION and re.fullmatch(_SPDX, text):
        return text, []
    if isinstance(given, str):
        return "", [f"the licence is not among the image's metadata: {given[:40]!r} in pyproject.toml is not SPDX"]
    return "", []
