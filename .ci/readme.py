"""Print a command line of README.md, so that what people are told to run is what is run: first, or tests."""

import re
import sys
from pathlib import Path

blocks = re.findall(r"```sh\n(.*?)```", (Path(__file__).parent.parent / "README.md").read_text("utf-8"), re.DOTALL)
print(blocks[{"first": 0, "tests": 1}[sys.argv[1]]].strip())
