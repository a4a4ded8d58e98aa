"""A quick case of what `python -m tests.chaos secrets` does for minutes; all of them in `.ci/full`."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.chaos import secrets
from tests.support.cache import needs_apt
from tests.support.slow import cases

EXITS = {name: int(name not in secrets.SUCCEEDING) for name in secrets.CASES}


@needs_apt
@pytest.mark.parametrize("name", cases({name: name for name in secrets.CASES}, "the service raises"))
def test_secrets_are_found_nowhere(tmp_path: Path, name: str) -> None:
    """Neither in what is written, nor in what is printed, nor in what other processes see."""
    with secrets.lab(tmp_path) as user:
        found, done = secrets.publish(user, name)
    assert found.secrets == set(), done.stderr
    assert done.returncode == EXITS[name], done.stderr
    assert found.searched["command lines"] > 0


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """Plain, in the name of a file, compressed in pieces, and with which secret it is."""
    secret = secrets.PLANTED["AWS"].encode()
    (tmp_path / "layer").write_bytes(gzip.compress(b"nothing") + gzip.compress(secret))
    (tmp_path / "plain").write_bytes(b"x" + secret)
    (tmp_path / secret.decode()).touch()
    found = secrets.Found()
    secrets.search_files(found, "folder", tmp_path)
    assert {(Path(place).name, name) for place, name in found.secrets} == {
        ("layer", "AWS"),
        ("plain", "AWS"),
        (secret.decode(), "AWS"),
    }
