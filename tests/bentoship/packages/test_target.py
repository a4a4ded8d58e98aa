"""What packages are installed for."""

from __future__ import annotations

import pytest

from bentoship.packages.target import Target


@pytest.mark.parametrize(("glibc", "known"), [(17, 17), (36, 36), (27, 17), (30, 28), (41, 40)])
def test_uv_is_asked_for_the_nearest_platform_that_it_knows(glibc: int, known: int) -> None:
    """A base with a newer C library runs what an older one does."""
    assert Target("linux/arm64", "3.11", glibc).uv_platform == f"aarch64-manylinux_2_{known}"
