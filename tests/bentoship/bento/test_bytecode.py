"""Byte-code that the import of a service writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.adapter import run_python


@pytest.mark.parametrize("hook", [False, True])
def test_byte_code_of_the_users_files_is_not_written(tmp_path: Path, hook: bool) -> None:
    """Python writes it beside every module that it imports; with the hook, beside those of others alone."""
    for name in ("own", "foreign"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_module.py").touch()
    code = f"""\
from bentoship.bento.bytecode import leave_no_byte_code
{"leave_no_byte_code(lambda path: path.startswith(sys.argv[1]))" if hook else ""}
sys.path += sys.argv[1:]
import own_module, foreign_module
result = None
"""
    run_python(code, tmp_path / "home", tmp_path / "own", tmp_path / "foreign")
    assert (tmp_path / "foreign" / "__pycache__").is_dir()
    assert (tmp_path / "own" / "__pycache__").is_dir() is not hook
