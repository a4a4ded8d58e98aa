"""Programs that have the adapter of BentoML; each is a process of its own, as the adapter changes Python itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.site import ROOT

PRELUDE = """\
import json, os, sys
from dataclasses import asdict
from pathlib import Path
import bentoml
from bentoship.bento import bentoml_adapter as adapter
from bentoship.bento.questions import with_wheels
from bentoship.bento.values import BuildContext
from bentoship.packages.building import Builder
from bentoship.packages.requirements_file import flattened, with_constraints

def follow_includes(wheels):
    build = lambda text, builder, into: with_wheels(text, Builder.from_json(builder), into)
    adapter.follow_includes(wheels, flattened, with_constraints, build)
"""


def run_python(code: str, home: Path, *args: object) -> Any:
    """Run a program that has the adapter, and return the value that it leaves in `result`; it ends as a child does."""
    end = "\nprint(json.dumps(result), flush=True)\nos._exit(0)\n"
    env = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true", "PYTHONPATH": str(ROOT / "src")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    program = [sys.executable, "-c", PRELUDE + code + end, *map(str, args)]
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


FOLLOW = 'follow_includes(Path(sys.argv[-1], "wheels"))'
BUILD = f"""\
{FOLLOW}
options = json.loads(sys.argv[1])
scratch = Path(sys.argv[3])
path = adapter.build(options, BuildContext(Path(sys.argv[2]), scratch, scratch), scratch)
result = [str(path), adapter.describe(path, options)]
"""
