"""How fast publishing is, side by side with BentoML and Docker: `python -m benchmarks.publish`."""

import sys
from pathlib import Path

_SOURCES = Path(__file__).parents[1] / "src"

# Nothing is installed; as tasks.py does, the publisher is taken as it lies there.
if str(_SOURCES) not in sys.path:
    sys.path.insert(0, str(_SOURCES))
