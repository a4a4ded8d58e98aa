"""Debian's base, made by a process beside this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bentoship.bases.background import debian_in_background
from bentoship.bases.debian import DebianSource
from bentoship.errors import BaseImageError
from bentoship.layers.cache import LayerCache
from tests.support.cache import needs_apt, with_packages
from tests.support.reporting import Told

pytestmark = needs_apt


def test_it_is_found_when_it_was_waited_for(tmp_path: Path, offered: str) -> None:
    """As this process would have made it; until then it tells how far it has come."""
    cache, layers, told = with_packages(tmp_path), LayerCache(tmp_path / "layers"), Told()
    with debian_in_background(cache, python=offered, platform="linux/amd64", layers=layers, reporter=told) as finish:
        finish()
    assert told.titles == ["assembling a base from Debian's packages for linux/amd64"]
    (last,) = told.tasks
    assert (last.title, last.unit, told.over) == ("compressing the base system", "bytes", [True])
    assert last.total
    outline = DebianSource(cache, offered, layers).outline("linux/amd64")
    assert outline.base == DebianSource(cache, offered, layers).make("linux/amd64")


def test_a_base_that_cannot_be_had_is_told_by_who_waits(tmp_path: Path) -> None:
    """In the words of the process that tried, with the hint."""
    cache, layers = with_packages(tmp_path), LayerCache(tmp_path / "layers")
    told = Told()
    ahead = debian_in_background(cache, python="3.5", platform="linux/amd64", layers=layers, reporter=told)
    with ahead as finish, pytest.raises(BaseImageError, match=r"have Python 3\.") as caught:
        finish()
    assert "python_version" in caught.value.hint
    assert told.over == [False]


def test_what_the_system_refuses_is_told_by_who_waits(tmp_path: Path, offered: str) -> None:
    """With the file, as if it had been refused here: a full disk, or a folder of somebody else's."""
    cache, layers = with_packages(tmp_path), LayerCache(tmp_path / "layers")
    layers.folder.touch()  # where a folder is wanted
    ahead = debian_in_background(cache, python=offered, platform="linux/amd64", layers=layers)
    with ahead as finish, pytest.raises(NotADirectoryError) as caught:
        finish()
    assert str(caught.value.filename).startswith(str(layers.folder))


def test_it_ends_with_the_block(tmp_path: Path, offered: str) -> None:
    """Nothing goes on behind the back of who does not want it any more, and no lock is held."""
    cache, layers = with_packages(tmp_path), LayerCache(tmp_path / "layers")
    with debian_in_background(cache, python=offered, platform="linux/amd64", layers=layers):
        pass
    assert DebianSource(cache, offered, layers).make("linux/amd64").layers


def test_nothing_is_left_when_it_ends_early(tmp_path: Path, offered: str) -> None:
    """Neither files nor a program that it has started, which is in a group of its own."""
    cache, layers = with_packages(tmp_path), LayerCache(tmp_path / "layers")
    before = started()  # registries and services that other tests share
    with debian_in_background(cache, python=offered, platform="linux/amd64", layers=layers):
        wait_for(lambda: any("ld-linux" in words for words in started().values()))  # compiles
        began = started().keys() - before.keys()
    assert list((cache / "bases").glob(".partial-*")) == []
    assert began
    assert not began & started().keys()


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, which it has to within a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def started() -> dict[psutil.Process, str]:
    """All processes that this one has started, and those that they have, with their command lines."""
    found = {}
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            found[one] = " ".join(one.cmdline())
    return found
