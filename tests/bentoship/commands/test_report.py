"""A plan in words and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship.assembly.diff import Change, Difference, Thing
from bentoship.assembly.plan import PlannedLayer, PushPlan, Unplanned
from bentoship.bento import Bento
from bentoship.commands.report import document, show
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.layer import Estimate
from bentoship.image.reference import ImageReference
from bentoship.publishing.planning import Plan, Reasons
from tests.support.golden import as_document, golden

AMD, ARM = "linux/amd64", "linux/arm64"
BLOB = Descriptor(LAYER_TAR, f"sha256:{1:064x}", 1_500_000)
LAYERS = (
    PlannedLayer(Estimate("base", "base", 3_000_000), (AMD,), "new"),
    PlannedLayer(Estimate("source echo:two", "source", BLOB.size, BLOB), (AMD, ARM), "present"),
)
PLAN = Plan(
    Bento("echo", "two", Path(), "3.11", "", (), (), (), (), fresh=True),
    ImageReference("localhost:5000", "team/echo"),
    ("latest", "two"),
    (AMD, ARM),
    PushPlan(None, LAYERS, 3_000_000),
    speed=None,
    reasons=None,
)


def lines(plan: Plan, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is told on stdout."""
    show(plan)
    return capsys.readouterr().out.splitlines()


def why(*changes: Change, note: str = "", owners: Sequence[str] = (AMD, ARM)) -> Plan:
    """A plan with one difference."""
    return replace(PLAN, reasons=Reasons("sha256:before", [(Difference("source", changes, note), tuple(owners))]))


def test_the_plan_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Each layer with its size, its state and its platforms; nothing of a time that nobody has measured."""
    show(PLAN)
    assert capsys.readouterr().out == golden("plan.txt")


def test_the_base_and_why_it_is_that_one(capsys: pytest.CaptureFixture[str]) -> None:
    """On a line of its own, unless BentoML chooses it."""
    base = "Debian 13 (trixie) with Python 3.13, since the Bento wants Python 3.13"
    assert lines(replace(PLAN, base=base), capsys)[1] == f"base            {base}"
    assert document(replace(PLAN, base=base))["base"] == base


def test_the_time_by_the_last_speed(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is a speed; none is needed for nothing."""
    last = lines(replace(PLAN, speed=300_000.0), capsys)[-1]
    assert (
        last
        == "push            ~3.0 MB to send to localhost:5000/team/echo, about 10 s at the 300.0 kB/s of the last push"
    )
    nothing = replace(PLAN, speed=300_000.0, push=PushPlan("sha256:all", LAYERS[1:], 0))
    assert lines(nothing, capsys)[-1] == "push            0 B to send to localhost:5000/team/echo"


def test_changes_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes and how they grew, versions, and neither for settings."""
    told = why(
        Change("a.py", Thing(4000), Thing(4012)),
        Change("b.py", Thing(50), Thing(20)),
        Change("c.py", None, Thing(10)),
        Change("d.py", Thing(5), None),
        Change("numpy", Thing(version="2.1"), Thing(version="2.2")),
        Change("PATH", Thing(identity="x"), Thing(identity="y")),
        owners=(ARM,),
    )
    show(told)
    assert capsys.readouterr().out == golden("plan-why.txt")


def test_many_changes_are_cut_for_people_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty, and how many more there are; the document has all."""
    told = why(*(Change(f"{number}.py", None, Thing(1)) for number in range(23)), note="a note")
    shown = lines(told, capsys)[6:]
    assert (shown[0], len(shown), shown[-1]) == ("why             source: a note", 22, "                and 3 more")
    assert len(document(told)["why"]["differences"][0]["changes"]) == 23


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (Reasons("sha256:before", []), "nothing differs from sha256:before"),
        (Reasons(None, unknown="nothing is known"), "nothing is known"),
    ],
)
def test_no_change_is_told_too(reasons: Reasons, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether there is none, or none can be found."""
    assert lines(replace(PLAN, reasons=reasons), capsys)[6:] == [f"why             {said}"]


def test_the_document() -> None:
    """The shape that README promises, as JSON can hold it."""
    plan = replace(why(Change("a.py", Thing(4), Thing(5))), speed=300_000.0)
    assert as_document(document(plan)) == golden("plan.json")


def test_what_only_building_tells_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    """An image by Docker has no layers before it is built."""
    plan = replace(PLAN, push=Unplanned("Docker would build it"), speed=300_000.0)
    told = document(plan)
    assert [told[key] for key in ("digest", "layers", "bytes_to_send", "seconds_estimated")] == [None] * 4
    assert "why" not in told
    assert lines(plan, capsys)[1] == "containerize    Docker would build it"
