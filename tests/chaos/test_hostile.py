"""Two of the hostile inputs that `python -m tests.chaos hostile` tries; `.ci/full` has all."""

from __future__ import annotations

import resource

import pytest

from tests.chaos import hostile
from tests.support.slow import cases


@pytest.mark.parametrize("prepare", cases(hostile.INPUTS, ".env: 1 GB", "registry: escapes for a terminal"))
def test_hostile_input_is_refused_with_one_clear_error(prepare: hostile.Prepare) -> None:
    """Within half a gigabyte of memory."""
    outcome = hostile.tried(prepare)
    assert outcome.fault == "", outcome.said
    # A new process counts with what its parent had (getrusage(2), ru_maxrss).
    assert outcome.memory < max(500e6, 1.1 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
