"""How far uv has come."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.packages.uv_output import conflict, install_state
from bentoship.system.progress import State

RESOLVED = "Using CPython 3.11.7 interpreter at: .venv/bin/python\nResolved 5 packages in 420ms\n"
BEGUN = f"{RESOLVED}Downloading pillow (6.8MiB)\nDownloading numpy (16.0MiB)\nDownloading tiny (512.0KiB)\n"
LARGE = f"{BEGUN} Downloaded pillow\n Downloaded numpy\n"
MIB = 1 << 20


@pytest.mark.parametrize(
    ("written", "state"),
    [
        ("", State("looking up 5 packages")),
        (BEGUN, State("downloading numpy, pillow, tiny", 0, int(23.3 * MIB))),
        (f"{BEGUN} Downloaded pillow\n", State("downloading numpy, tiny", int(6.8 * MIB), int(23.3 * MIB))),
        (f"{LARGE} Downl", State("downloading tiny", int(22.8 * MIB), int(23.3 * MIB))),
        (f"{LARGE} Downloaded tiny\n", State("installing 5 packages", 2, 5, "packages")),
        (RESOLVED, State("installing 5 packages", 2, 5, "packages")),
    ],
)
def test_wheels_are_told_by_name_then_packages_are_counted(written: str, state: State, tmp_path: Path) -> None:
    """Bytes of the wheels that are complete; what was downloaded before is only installed."""
    for name in ("pillow-13.0.0.dist-info", "PIL", "tiny-1.0.dist-info"):
        (tmp_path / name).mkdir()
    found = install_state(written, tmp_path, 5)
    assert (found.title, found.unit) == (state.title, state.unit)
    assert found.done == pytest.approx(state.done, abs=3)
    assert found.total == pytest.approx(state.total, abs=3)


def test_a_conflict_is_told_by_its_facts() -> None:
    """What asks for what, and uv's hints; what follows from them is left out, and other failures stay as they are."""
    because = "Because a==1 depends on b>=2 and you require b<1, we can conclude that your requirements and a==1 are "
    also = "And because you require a==1, we can conclude that your requirements are unsatisfiable."
    said = f"error: No solution found when resolving dependencies cause: {because}incompatible. {also} hint: A. hint: B"
    assert conflict(said) == "a==1 depends on b>=2 and you require b<1; you require a==1. A. B"
    assert conflict("No solution found: b") == "No solution found: b"
    assert conflict("dns error, because no server answers") == "dns error, because no server answers"
