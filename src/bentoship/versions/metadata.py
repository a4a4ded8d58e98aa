"""What the annotations of an image say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bentoship.image import keys
from bentoship.image.document import parse_json

_MOST = 1000
_MAX_NAME = 200


def metrics_of(annotations: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that an image is annotated with; what is not a number, or has no usable name, is left out."""
    text = annotations.get(keys.METRICS)
    try:
        found = parse_json(text) if isinstance(text, str) else None
        items = list(found.items())[:_MOST] if isinstance(found, dict) else []
        metrics = {
            name: float(value) for name, value in items if type(value) in (int, float) and len(name) <= _MAX_NAME
        }
    except (ValueError, OverflowError):
        return {}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
