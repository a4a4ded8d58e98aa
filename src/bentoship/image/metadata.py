"""The metadata of an image: writing its annotations and labels, and reading those of any image."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from bentoship.image import keys
from bentoship.image.descriptor import Descriptor
from bentoship.image.document import parse_json
from bentoship.system.values import dataclass

Value = str | int | float | bool | None
"""A hyperparameter."""

JSON = "application/json"
"""The media type of the document with what is too large for annotations."""

ANNOTATION = 32 << 10
"""Bytes; a larger value goes into the document, so that all annotations of an image stay below 256 kB."""

_DOCUMENT = 32 << 20
"""Bytes of a document that are read."""

_ANNOTATIONS = 256 << 10
"""Characters of an annotation that are read; all annotations of an image together should have no more bytes."""

_TEXT = 4000
"""Characters that are read of an annotation that is not JSON."""

_ITEMS = 10_000
"""The most models, data, or names of one object that are read."""

_DEPTH = 100
"""How deep objects may be nested, as in system.documents."""

_TEXTS = {
    "title": keys.TITLE,
    "version": keys.VERSION,
    "description": keys.DESCRIPTION,
    "licenses": keys.LICENSES,
    "base": keys.BASE_NAME,
    "base_digest": keys.BASE_DIGEST,
    "bento": keys.BENTO,
}


@dataclass(frozen=True)
class Model:
    """A model in an image, with what was saved with it; nested names have dots between.

    Args:
        tag: NAME:VERSION.
        metadata: its metadata.
        labels: its labels.
        options: the options of its framework.
    """

    tag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tag: str, *noted: Mapping[str, Any]) -> Model:
        """Return a model. Args: noted: its metadata, labels and options, in this order, with values of any kind."""
        return cls(tag, *map(_texts, noted))


@dataclass(frozen=True)
class Data:
    """Training data. Args: path: in the project; digest: "md5:…"; size: in bytes, None when unknown."""

    path: str
    digest: str
    size: int | None = None


@dataclass(frozen=True)
class Metadata:
    """The metadata of an image; what is unknown is empty.

    Args:
        title: the Bento's name.
        version: the Bento's version.
        description: of the Bento.
        licenses: an SPDX expression.
        base: the name that the base was pulled by.
        base_digest: "sha256:…".
        bento: the Bento's tag.
        models: the models in it.
        metrics: finite numbers by name.
        parameters: hyperparameters by name.
        data: the training data.
    """

    title: str = ""
    version: str = ""
    description: str = ""
    licenses: str = ""
    base: str = ""
    base_digest: str = ""
    bento: str = ""
    models: tuple[Model, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Value] = field(default_factory=dict)
    data: tuple[Data, ...] = ()

    @property
    def annotations(self) -> dict[str, str]:
        """Return the annotations; if values are too large for them, METADATA has the digest of `document`."""
        texts = {key: _clean(getattr(self, name)) for name, key in _TEXTS.items() if getattr(self, name)}
        values = {key: text for key, value in self._values().items() if _fits(text := _to_text(value))}
        if self.models and keys.MODELS not in values:  # which layer is whose is read from their tags
            values[keys.MODELS] = _to_text([{"tag": model.tag, "metadata": {}} for model in self.models])
        document = self.document
        named = {keys.METADATA: Descriptor.of(JSON, document).digest} if document else {}
        return {**texts, **values, **named}

    @property
    def document(self) -> bytes:
        """Return a JSON object of the values that are too large for annotations, by their keys; empty for none."""
        large = {key: value for key, value in self._values().items() if not _fits(_to_text(value))}
        return _to_text(large).encode() if large else b""

    @classmethod
    def parse(cls, annotations: object, document: bytes = b"") -> Metadata:
        """Return the metadata in the annotations or labels of any image, without values of another form or size.

        Args:
            annotations: from a manifest or an index, or labels from a configuration.
            document: the document that the annotation METADATA names; empty for none.
        """
        given = annotations if isinstance(annotations, Mapping) else {}
        large = _parsed(document.decode("utf-8", "replace"), _DOCUMENT)
        large = large if isinstance(large, Mapping) else {}

        def value(key: str) -> Any:
            return large[key] if key in large else _parsed(given.get(key), _ANNOTATIONS)

        return cls(
            **{name: _text(given.get(key)) for name, key in _TEXTS.items()},
            models=tuple(_each(_model, value(keys.MODELS))),
            metrics=_object(value(keys.METRICS), is_number),
            parameters=_object(value(keys.PARAMETERS), _is_plain),
            data=tuple(_each(_data, value(keys.DATA))),
        )

    def _values(self) -> dict[str, Any]:
        """Return what is JSON, by its keys."""
        values = {
            keys.MODELS: [_model_to_dict(model) for model in self.models],
            keys.METRICS: dict(self.metrics),
            keys.PARAMETERS: dict(self.parameters),
            keys.DATA: [_data_to_dict(one) for one in self.data],
        }
        return {key: value for key, value in values.items() if value}


def flattened(value: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """Return the values in nested objects, by names with dots between; lists stay as they are.

    Raises: ValueError when it is nested too deeply, or two values have the same name.
    """
    if depth > _DEPTH:
        raise ValueError(f"it is nested more than {_DEPTH} deep")
    found: dict[str, Any] = {}
    for key, inner in value.items():
        name = _clean(key if isinstance(key, str) else as_text(key))
        below = flattened(inner, depth + 1) if isinstance(inner, Mapping) else {"": inner}
        for rest, one in below.items():
            whole = f"{name}.{rest}" if rest else name
            if whole in found:
                raise ValueError(f"it has two values by the name {whole}")
            found[whole] = one
    return found


def as_text(value: object) -> str:
    """Return a value of any kind as a text: texts as they are, others as JSON."""
    if isinstance(value, str):
        return _clean(value)
    return _clean(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str, skipkeys=True))


def plain(value: Any) -> Value:
    """Return a value as a hyperparameter: a text, number, boolean or null as it is, anything else as JSON."""
    return value if value is None or isinstance(value, bool) or is_number(value) else as_text(value)


def is_number(value: Any) -> bool:
    """Return whether a value is a number that JSON can express: not infinite, not NaN, and not larger than a float."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return nested values as texts by name; none of values that `flattened` refuses."""
    try:
        return {name: as_text(value) for name, value in flattened(values).items()}
    except ValueError:
        return {}


def _model_to_dict(model: Model) -> dict[str, Any]:
    more = {"labels": dict(model.labels), "options": dict(model.options)}
    return {"tag": model.tag, "metadata": dict(model.metadata), **{name: one for name, one in more.items() if one}}


def _data_to_dict(data: Data) -> dict[str, Any]:
    return {"path": data.path, "digest": data.digest, **({} if data.size is None else {"size": data.size})}


def _model(value: Mapping[str, Any]) -> Model:
    texts = [_object(value.get(name), _is_text) for name in ("metadata", "labels", "options")]
    return Model(_required(value["tag"]), *texts)


def _data(value: Mapping[str, Any]) -> Data:
    size = value.get("size")
    known = type(size) is int and 0 <= size < 2**63
    return Data(_required(value["path"]), _required(value["digest"]), size if known else None)


def _each(make: Callable[[Mapping[str, Any]], Any], values: object) -> list[Any]:
    """Return what a function makes of each object in a list; objects that it refuses are left out."""
    found = []
    for value in values[:_ITEMS] if isinstance(values, list) else ():
        try:
            found.append(make(value))
        except (KeyError, TypeError, AttributeError, ValueError):
            continue
    return found


def _object(value: object, accepts: Callable[[Any], bool]) -> dict[str, Any]:
    """Return the values of an object that a function accepts, by name."""
    items = list(value.items())[:_ITEMS] if isinstance(value, Mapping) else []
    return {_clean(name): _clean(one) if isinstance(one, str) else one for name, one in items if accepts(one)}


def _required(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("it is no text")
    return _clean(value)


def _text(value: object) -> str:
    return _clean(value[:_TEXT]) if isinstance(value, str) else ""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or is_number(value)


def _clean(text: str) -> str:
    """Return a text without lone surrogates, as in the JSON "\\ud800", which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


def _parsed(text: object, most: int) -> Any:
    """Return the value of a JSON text; None for anything else."""
    if not isinstance(text, str) or len(text) > most:
        return None
    try:
        return parse_json(text)
    except ValueError:
        return None


def _to_text(value: object) -> str:
    return _clean(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def _fits(text: str) -> bool:
    return len(text.encode()) <= ANNOTATION
