"""What the annotations of an image say of it. They may be anyone's: what is not of its form is passed over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypedDict, TypeVar

from bentoship.image import keys
from bentoship.image.document import parse_json
from bentoship.versions.version import Data, Model, Value

_LONGEST = 4096
"""Characters of a text that are kept."""

_MOST = 1000
"""Models, metrics, parameters or data of an image that are kept."""

_LARGEST = 4 << 20
"""Characters of an annotation that is read; a manifest has no more bytes."""

T = TypeVar("T")


class Metadata(TypedDict):
    """The parts of a Version that annotations hold."""

    is_ours: bool
    bento: str
    description: str
    base: str
    base_digest: str
    models: tuple[Model, ...]
    metrics: dict[str, float]
    parameters: dict[str, Value]
    data: tuple[Data, ...]


def parse(annotations: object, document: bytes = b"") -> Metadata:
    """Return what annotations say of an image, in the forms that image.keys documents.

    Args:
        annotations: from its manifest or index.
        document: what the annotation METADATA names: an object of the values that are too large for annotations.
    """
    given = {**annotations} if isinstance(annotations, Mapping) else {}
    large = _json({"": document.decode("utf-8", "replace")}, "")
    given |= large if isinstance(large, dict) else {}
    bento = text(given.get(keys.BENTO))
    return {
        "is_ours": bool(bento),
        "bento": bento,
        "description": text(given.get(keys.DESCRIPTION)),
        "base": text(given.get(keys.BASE_NAME)),
        "base_digest": text(given.get(keys.BASE_DIGEST)),
        "models": tuple(_read(_list(given, keys.MODELS), _model)),
        "metrics": dict(_read(_object(given, keys.METRICS).items(), _metric)),
        "parameters": dict(_read(_object(given, keys.PARAMETERS).items(), _parameter)),
        "data": tuple(_read(_list(given, keys.DATA), _data)),
    }


def text(value: object) -> str:
    """Return a value that is a text, up to a length; else an empty one."""
    return value[:_LONGEST] if isinstance(value, str) else ""


def _json(given: Mapping[str, Any], key: str) -> Any:
    """Return a value that is JSON in an annotation, and is there as it is in a document."""
    value = given.get(key)
    try:
        if not isinstance(value, str):
            return value
        return parse_json(value) if len(value) <= _LARGEST else None
    except ValueError:
        return None


def _list(given: Mapping[str, Any], key: str) -> list[Any]:
    value = _json(given, key)
    return value if isinstance(value, list) else []


def _object(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = _json(given, key)
    return value if isinstance(value, dict) else {}


def _read(items: Iterable[Any], read: Callable[[Any], T | None]) -> Iterator[T]:
    """Yield what can be read of some items, and no more than there may be."""
    for item, _ in zip(items, range(_MOST), strict=False):
        if (found := read(item)) is not None:
            yield found


def _model(item: Any) -> Model | None:
    if not isinstance(item, dict) or not text(item.get("tag")):
        return None
    metadata = item.get("metadata")
    pairs = list(metadata.items())[:_MOST] if isinstance(metadata, dict) else []
    return Model(text(item["tag"]), {text(name): text(value) for name, value in pairs if isinstance(value, str)})


def _metric(item: tuple[str, Any]) -> tuple[str, float] | None:
    name, value = item
    return (text(name), float(value)) if _is_number(value) else None


def _parameter(item: tuple[str, Any]) -> tuple[str, Value] | None:
    name, value = item
    if isinstance(value, str):
        return text(name), text(value)
    return (text(name), value) if value is None or isinstance(value, bool) or _is_number(value) else None


def _is_number(value: object) -> bool:
    """Return whether a value is a number that can be computed with; integers may have thousands of digits."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(float(value))
    except OverflowError:
        return False


def _data(item: Any) -> Data | None:
    if not isinstance(item, dict) or not text(item.get("path")) or not text(item.get("digest")):
        return None
    size = item.get("size")
    is_size = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 63
    return Data(text(item["path"]), text(item["digest"]), size if is_size else None)
