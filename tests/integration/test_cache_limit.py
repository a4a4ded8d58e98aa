"""A cache that is cleared up while others work with it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bentoship.layers.cache import LayerCache
from bentoship.system.files import SharedFolder
from tests.support.synthetic import assembled, laid_out, synthetic_base

_ASSEMBLES = """
import sys, time
from pathlib import Path
from bentoship.layers.cache import LayerCache
from bentoship.system.files import SharedFolder
from tests.support.synthetic import assembled, bento_in, synthetic_base

folder = Path(sys.argv[1])
cache = LayerCache(folder / "cache")
for number in range(6):
    use = SharedFolder(cache.folder)
    base = synthetic_base(folder / "bases", cache)
    image = assembled(bento_in(folder), base, cache, folder)
    contents = b"".join(cache.blob(layer.descriptor).read_bytes() for layer in image.layers)
    print(image.descriptor.digest, len(contents), flush=True)
    del use
    time.sleep(0.1)
"""


def test_layers_stay_as_long_as_another_process_works_with_them(tmp_path: Path) -> None:
    """They go as soon as it does not, and the next image that it makes is the same to the byte."""
    bento, cache = laid_out(tmp_path), LayerCache(tmp_path / "cache")
    whole = LayerCache(tmp_path / "whole")
    expected = assembled(bento, synthetic_base(tmp_path / "bases", whole), whole, tmp_path)
    size = sum(layer.descriptor.size for layer in expected.layers)
    command = [sys.executable, "-c", f"import sys\nsys.path[:0] = {sys.path!r}\n{_ASSEMBLES}", str(tmp_path)]
    freed, refused = [], 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        use = SharedFolder(cache.folder)
        while process.poll() is None:
            with use.alone() as is_alone:
                if is_alone:
                    freed.append(cache.trim(0, []))
                else:
                    refused += 1
            time.sleep(0.005)
        assert process.stdout
        made = process.stdout.read().splitlines()
    assert made == [f"{expected.descriptor.digest} {size}"] * 6
    assert sum(map(bool, freed)) >= 4
    assert refused
