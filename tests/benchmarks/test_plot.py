"""The plot."""

from __future__ import annotations

from xml.etree import ElementTree

from benchmarks.plot import svg
from benchmarks.report import Sample, summarize

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(*samples: Sample) -> ElementTree.Element:
    """The plot of samples, read."""
    return ElementTree.fromstring(svg(summarize(samples)))


def bars(plot: ElementTree.Element, who: str) -> list[float]:
    """How long a side's bars are; those of the legend are squares."""
    found = [rect for rect in plot.iter(f"{SPACE}rect") if rect.get("class") == who]
    return [float(rect.get("width", 0)) for rect in found if rect.get("width") != rect.get("height")]


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    """On one scale for both sides and all cases of a panel, with the number at their end."""
    plot = drawn(
        Sample("cold", "bentoship", {"seconds": 10, "sent": 100e6}),
        Sample("cold", "docker", {"seconds": 40, "sent": 400e6}),
        Sample("source", "bentoship", {"seconds": 5, "sent": 50e6}),
    )
    seconds, sent = bars(plot, "bentoship")[:2], bars(plot, "bentoship")[2:]
    longest = bars(plot, "docker")
    assert seconds == [longest[0] / 4, longest[0] / 8]
    assert sent == [longest[1] / 4, longest[1] / 8]
    assert {"10.0 s", "40.0 s", "400.0 MB"} <= {text.text for text in plot.iter(f"{SPACE}text")}


def test_a_side_that_was_not_measured_has_no_bars() -> None:
    """Nothing stands for what nobody knows, and nothing is as long as nothing."""
    plot = drawn(Sample("unchanged", "bentoship", {"seconds": 0, "sent": 0}))
    assert bars(plot, "docker") == []
    assert len(bars(plot, "bentoship")) == 2


def test_it_is_readable_on_dark_pages() -> None:
    """Text and bars have colours of their own there."""
    style = drawn().findtext(f"{SPACE}style", "")
    light, _, dark = style.partition("prefers-color-scheme: dark")
    for part in ("text {", ".bentoship {", ".docker {"):
        assert part in light
        assert part in dark
