"""Pythons that managers have installed on this machine; in PATH these have scripts, which start no version but one."""

import os
from pathlib import Path

from bentoship.system.process import environment, home

_MANAGERS = (
    ("PYENV_ROOT", ".pyenv", "versions"),
    ("ASDF_DATA_DIR", ".asdf", "installs/python"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/python"),
)
"""What installs Pythons: the variable with the folder of each, its usual place in the home, and what they are in."""


def managed_python(version: str) -> str:
    """Return the path of a Python that pyenv, asdf or mise has installed; empty when there is none.

    Args:
        version: a minor one such as "3.11", of which the latest is taken, or an exact one such as "3.11.9".
    """
    minor = ".".join(version.split(".")[:2])
    env = environment(names=[name for name, _, _ in _MANAGERS])
    roots = [Path(env.get(name) or home(env) / usual, versions) for name, usual, versions in _MANAGERS]
    found = {
        int(place.suffix[1:]): str(place / "bin" / f"python{minor}")
        for root in roots
        for place in root.glob(f"{version}.*" if version == minor else version)
        if place.suffix[1:].isdigit() and os.access(place / "bin" / f"python{minor}", os.X_OK)
    }
    return found[max(found)] if found else ""
