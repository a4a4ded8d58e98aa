"""From samples to medians and verdicts."""

from __future__ import annotations

import json

import pytest

from benchmarks.report import PROMISES, Sample, document, judge, markdown, summarize

MACHINE = {"processor": "2 × Abacus"}


def took(case: str, who: str, *seconds: float, **values: float) -> list[Sample]:
    """Samples of one case that differ in their time alone."""
    return [Sample(case, who, {"seconds": one, "sent": 0, **values}) for one in seconds]


def test_of_times_the_median_counts_and_of_the_rest_the_worst() -> None:
    """A slow run is no result; a run that sends more, holds more, or gives another digest is."""
    samples = [
        Sample("unchanged", "bentoship", {"seconds": 1, "sent": 10, "same": 1}),
        Sample("unchanged", "bentoship", {"seconds": 9, "sent": 30, "same": 0}),
        Sample("unchanged", "bentoship", {"seconds": 2, "sent": 20, "same": 1}),
    ]
    assert summarize(samples)["unchanged"]["bentoship"] == {"seconds": 2, "sent": 30, "same": 0}


@pytest.mark.parametrize(("theirs", "kept"), [(40.0, True), (39.0, False)])
def test_a_ratio_is_kept_from_its_bound_on(theirs: float, kept: bool) -> None:
    """Four times as fast the first time; what is told of it is the ratio of the medians."""
    samples = took("cold", "bentoship", 9, 10, 30) + took("cold", "docker", theirs)
    [verdict] = [one for one in judge(summarize(samples)) if one.promise.name == "cold"]
    assert (verdict.value, verdict.kept) == (theirs / 10, kept)


@pytest.mark.parametrize(("count", "kept"), [(65536, True), (65537, False)])
def test_bytes_are_kept_up_to_their_bound(count: int, kept: bool) -> None:
    """64 KiB after a changed line of source."""
    verdicts = judge(summarize(took("source", "bentoship", 1, sent=count)))
    assert [(one.promise.name, one.kept) for one in verdicts] == [("source-sent", kept)]


def test_the_base_is_there_for_both() -> None:
    """With our base there, too, the other side's first time is what it is compared with."""
    samples = took("cold", "docker", 40) + took("cold-base", "bentoship", 8)
    [verdict] = judge(summarize(samples))
    assert (verdict.promise.name, verdict.value) == ("cold-base", 5)


def test_one_side_alone_gives_no_ratio() -> None:
    """Without Docker there is no number in the place of a comparison, and the reason is told."""
    samples = took("unchanged", "bentoship", 1, layers=0, same=1)
    missing = {"docker": "no dockerd"}
    ratios = document(samples, MACHINE, missing)["ratios"]
    assert isinstance(ratios, dict)
    assert ratios.keys() == {"unchanged-digest", "unchanged-layers"}
    told = markdown(samples, MACHINE, missing)
    assert "- not measured: docker: no dockerd" in told
    assert "| nothing changed" in told


def test_programs_find_every_ratio_by_its_name() -> None:
    """The document is JSON, with value, bound and whether it is kept."""
    samples = took("list", "bentoship", 0.3) + took("list", "empty tasks.py", 0.2)
    data = json.loads(json.dumps(document(samples, MACHINE, {})))
    assert data["ratios"]["list"] == {"value": pytest.approx(1.5), "at_most": 1.2, "unit": "times", "kept": False}
    assert data["machine"] == MACHINE
    assert data["samples"][0] == {"case": "list", "who": "bentoship", "seconds": 0.3, "sent": 0}


def test_names_are_of_one_promise_each() -> None:
    """Programs could not tell them apart else."""
    assert len({promise.name for promise in PROMISES}) == len(PROMISES)


def test_people_see_what_is_not_kept() -> None:
    """A row for each case with both sides, and a row for each promise."""
    samples = took("cold", "bentoship", 20, sent=100_000_000, size=100_000_000) + took("cold", "docker", 40, sent=5e8)
    told = markdown(samples, MACHINE, {})
    [case] = [line for line in told.splitlines() if line.startswith("| first time ")]
    assert [cell.strip() for cell in case.split("|")[1:-1]] == [
        "first time",
        "20.0 s",
        "40.0 s",
        "100.0 MB",
        "500.0 MB",
    ]
    [promise] = [line for line in told.splitlines() if line.startswith("| first time: faster")]
    assert [cell.strip() for cell in promise.split("|")[2:-1]] == ["2.0", "at least 4.0", "**no**"]
    assert "- processor: 2 × Abacus" in told
