"""The plot: seconds and bytes of each case, both sides. A few rectangles, so that it needs no library and is small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from benchmarks.report import OURS, THEIRS, TITLES, Summary
from bentoship.system.text import size

_WIDTH, _TOP, _ROW, _BAR = 860, 92, 50, 16
_PANELS = ((200, 240), (560, 220))
"""Where each panel begins, and how wide its longest bar is."""

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.axis, .note { fill: #59636e }
.number { font-size: 12px }
.bentoship { fill: #1a7f6b }
.docker { fill: #b5bcc4 }
.line { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.axis, .note { fill: #9198a1 }
.bentoship { fill: #3fb79b }
.docker { fill: #59636e }
.line { stroke: #3d444d }
}"""


def svg(summary: Summary) -> str:
    """The plot of the cases that both sides know, readable on light and on dark pages.

    Args:
        summary: as `report.summarize` gives it.

    Returns: an SVG document.
    """
    cases = [case for case in TITLES if case in summary]
    height = _TOP + _ROW * len(cases) + 10
    body = [
        *_legend(),
        *(_text(8, _TOP + row * _ROW + 25, TITLES[case]) for row, case in enumerate(cases)),
        *_panel(0, "seconds", "seconds", summary, cases, lambda value: f"{value:.1f} s"),
        *_panel(1, "sent to the registry", "sent", summary, cases, size),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">'
    title = "<title>Publishing with bentoship, and with BentoML and Docker: seconds, and bytes sent</title>"
    return "\n".join([head, title, f"<style>{_STYLE}</style>", *body, "</svg>"]) + "\n"


def _legend() -> Iterator[str]:
    yield _text(8, 24, "From a service to an image in the registry", "title")
    for x, who, words in ((8, OURS, "invoke publish"), (140, THEIRS, "bentoml containerize, docker push")):
        yield f'<rect class="{who}" x="{x}" y="38" width="12" height="12" rx="2"/>'
        yield _text(x + 18, 49, words)


def _panel(
    place: int, title: str, value: str, summary: Summary, cases: Sequence[str], words: Callable[[float], str]
) -> Iterator[str]:
    """One value of all cases, as bars of a common scale."""
    left, width = _PANELS[place]
    most = max((values[value] for case in cases for values in _both(summary, case).values()), default=0) or 1
    yield _text(left, _TOP - 14, title, "axis")
    yield f'<line class="line" x1="{left}" x2="{left}" y1="{_TOP - 6}" y2="{_TOP + _ROW * len(cases) - 4}"/>'
    for row, case in enumerate(cases):
        for bar, (who, values) in enumerate(_both(summary, case).items()):
            y, length = _TOP + row * _ROW + 4 + bar * (_BAR + 2), values[value] / most * width
            yield f'<rect class="{who}" x="{left}" y="{y}" width="{max(length, 1):.1f}" height="{_BAR}"/>'
            yield _text(left + length + 6, y + 12, words(values[value]), "number")


def _both(summary: Summary, case: str) -> dict[str, dict[str, float]]:
    return {who: dict(summary[case][who]) for who in (OURS, THEIRS) if who in summary[case]}


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y}">{escape(words)}</text>'
