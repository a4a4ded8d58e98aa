"""Pin every package, transitive ones too, in pyproject.toml: `python .ci/pin.py` after changing or upgrading one.

uv.lock is not committed, because it names where packages are downloaded; these pins make each new one say the same.
"""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
BEGIN, END = "constraint-dependencies = [\n", "]\n"

text = PROJECT.read_text("utf-8")
head, _, rest = text.partition(BEGIN)
_, _, tail = rest.partition(END)
PROJECT.write_text(f"{head}{BEGIN}{END}{tail}", "utf-8")

upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
export = ["export", *upgrade, "-q", "--all-groups", "--no-hashes", "--no-emit-project", "--no-header", "--no-annotate"]
pins = subprocess.run(["uv", *export], cwd=PROJECT.parent, check=True, capture_output=True, text=True).stdout
quoted = [f"    {line!r},\n" if '"' in line else f'    "{line}",\n' for line in pins.splitlines() if "==" in line]
PROJECT.write_text(f"{head}{BEGIN}{''.join(quoted)}{END}{tail}", "utf-8")
print(f"{len(quoted)} packages are pinned")
