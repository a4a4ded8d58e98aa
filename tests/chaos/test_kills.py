"""A small run of what `python -m tests.chaos kills` does for minutes."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.chaos import kills
from tests.support import registry as registries
from tests.support.cache import needs_apt, of_run, with_packages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux gives orphans another parent")


@needs_apt
@pytest.mark.slow
@pytest.mark.parametrize("killed", [["model"], ["model", "changed line", "unchanged", "changed line"]])
def test_the_next_publish_after_a_kill_is_as_if_nothing_had_been(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str, killed: list[str]
) -> None:
    """The same image, no process and no byte more. It takes a while, since real publishes are killed."""
    (tmp_path / "begin").mkdir()
    cache = with_packages(tmp_path / "begin")
    shared = of_run(tmp_path_factory, worker_id) / "bases"
    shared.mkdir(exist_ok=True)
    (cache / "bases").symlink_to(shared)
    with registries.running(tmp_path / "registry") as registry:
        lab = kills.Lab(tmp_path / "lab", registry.host, uv_cache=Path.home() / ".cache" / "uv", cache=cache)
        lab.prepare(*dict.fromkeys(killed))
        seed = time.monotonic_ns() % 1000
        outcome = kills.kills(lab, killed, random.Random(seed))
        count = len(killed)
        assert (outcome.kills, outcome.failures, outcome.same, outcome.orphans) == (count, [], count, []), seed
        left = lab.site.cache / "bentoship" / "scratch" / "verify-left"
        left.mkdir()
        lab.publish("after")
    assert not left.exists()
    assert not any(lab.places["TMPDIR"].iterdir())


def test_a_process_that_outlives_its_parent_is_seen(tmp_path: Path) -> None:
    """Also in a session of its own; what was there before is none."""
    starting = "subprocess.Popen(['sleep', '77'], stdout=subprocess.DEVNULL, start_new_session=True)"
    code = f"import subprocess; {starting}; print(1, flush=True); input()"
    with kills.adopting() as orphans:
        parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert parent.stdout
        parent.stdout.readline()
        parent.kill()
        parent.communicate()
        assert orphans() == ["sleep 77"]
        for child in psutil.Process().children():
            if child.cmdline() == ["sleep", "77"]:
                child.kill()
        deadline = time.monotonic() + 10
        while orphans():
            assert time.monotonic() < deadline
