"""Pythons that managers have installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.system.pythons import managed_python


def test_an_exact_version_is_that_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a minor version it is the latest."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    for version in ("3.99.2", "3.99.10", "3.99.1"):
        program = tmp_path / "pyenv" / "versions" / version / "bin" / "python3.99"
        program.parent.mkdir(parents=True)
        program.touch(0o700)
    found = [managed_python(version) for version in ("3.99", "3.99.1", "3.99.3")]
    assert [Path(one).parts[-3] if one else "" for one in found] == ["3.99.10", "3.99.1", ""]
