"""What a record may hold that was kept by another version, or by somebody else."""

from __future__ import annotations

SHAPES: tuple[object, ...] = (
    None,
    [],
    {},
    1,
    "text",
    [1],
    [[]],
    [{}],
    {"a": 1},
    {"a": [1]},
    {"bento": {}, "sizes": []},
)
"""Values of another shape than any record has."""
