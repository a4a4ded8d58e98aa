"""Two versions side by side."""

from __future__ import annotations

import pytest

from bentoship.image.descriptor import LAYER_GZIP, Descriptor
from bentoship.versions.comparing import Changed, changes, compare
from bentoship.versions.metrics import best
from bentoship.versions.version import Part, Value, Version


@pytest.mark.parametrize(
    ("name", "old", "new", "lower", "expected"),
    [
        ("accuracy", 0.1, 0.2, (), True),
        ("accuracy", 0.2, 0.1, (), False),
        ("accuracy", 0.2, 0.2, (), None),
        ("loss", 0.1, 0.2, ("loss",), False),
        ("loss", 0.2, 0.1, ("loss",), True),
        ("test.loss", 0.2, 0.1, ("loss",), True),
        ("test.loss", 0.2, 0.1, ("test.loss",), True),
        ("loss.test", 0.2, 0.1, ("loss",), True),
        ("lossless.test", 0.2, 0.1, ("loss",), False),
    ],
)
def test_a_metric_is_better_or_worse(
    name: str, old: float, new: float, lower: tuple[str, ...], expected: bool | None
) -> None:
    """Higher is better unless the name, or its last part, is among those of which lower is."""
    (metric,) = compare(Version("a", metrics={name: old}), Version("b", metrics={name: new}), lower).metrics
    assert metric.is_better is expected


@pytest.mark.parametrize(("old", "new"), [(-1.7e308, 1.7e308), (-(10**308), 10**308), (None, 1.0)])
def test_a_difference_is_a_number_or_none(old: float | None, new: float) -> None:
    """Those of strangers may be so large that no float is as large as their difference, and JSON has no other."""
    images = (Version("a", metrics={} if old is None else {"a": old}), Version("b", metrics={"a": new}))
    (metric,) = compare(*images, ()).metrics
    assert metric.difference is None


def test_differences_are_listed_by_name() -> None:
    """In the order of the names; 1 and true differ, 1 and 1.0 do not, and null is a value."""
    old: dict[str, Value] = {"a": 1, "b": 1, "c": None, "d": "x", "e": "same"}
    new: dict[str, Value] = {"a": 1.0, "b": True, "c": 0, "e": "same", "f": None}
    assert changes(old, new) == [
        Changed("b", "changed", 1, True),
        Changed("c", "changed", None, 0),
        Changed("d", "removed", "x", None),
        Changed("f", "added", None, None),
    ]


def test_the_best_is_that_of_several() -> None:
    """A metric that is the same in all versions has none."""
    versions = [
        Version("", metrics={"a": 1.0, "loss": 2.0, "same": 3.0}),
        Version("", metrics={"a": 2.0, "loss": 1.0, "same": 3.0}),
    ]
    assert best(versions, ("loss",)) == {"a": 2.0, "loss": 1.0}


def test_a_host_needs_the_layers_of_its_own_platform() -> None:
    """Of those that both versions are for; a single image has all its layers for its one."""

    def part(name: str, size: int, *platforms: str) -> Part:
        return Part(Descriptor.of(LAYER_GZIP, f"{name}{'.' * size}".encode()), "", platforms)

    amd, arm = "linux/amd64", "linux/arm64"
    base = [part("a", 1, amd), part("b", 2, arm)]
    old = Version("1", platforms=(amd, arm), layers=[*base, part("c", 10, amd, arm)])
    new = Version("2", platforms=(amd, arm), layers=[*base, part("d", 20, amd), part("e", 40, arm), part("f", 5, arm)])
    single = Version("3", platforms=(amd,), layers=[base[0], part("d", 20)])
    assert compare(old, new, ()).needed == {amd: 21, arm: 47}
    assert compare(old, single, ()).needed == {amd: 21}
    assert compare(single, new, ()).needed == {amd: 0}
    assert compare(Version("4"), new, ()).needed == {}
