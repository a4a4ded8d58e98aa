"""Why a Bento needs a Dockerfile, in the words of the configuration that asks for it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SCRIPT = re.compile(r"chmod \+x (\S+) && \1")
"""The command that runs a script (Image.run_script in _bentoml_sdk/images.py)."""


def reasons_of_image(
    commands: Sequence[str], docker: object, distributions: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yield what the commands of an image in BentoML's second format stand for, as phrases.

    Args:
        commands: those before and after the packages.
        docker: the section `docker` of the project's options, whose commands BentoML puts after those of the service.
        distributions: what BentoML knows of distributions (CONTAINER_METADATA), by name.
    """
    # BentoML puts each distribution's own install command first; it prepares pip, which is not used here.
    defaults = {str(data["default_install_command"]) for data in distributions.values()}
    installing = [str(data["install_command"]).partition("{packages}")[0] for data in distributions.values()]
    section = docker if isinstance(docker, Mapping) else {}
    listed = [*map(str, section.get("system_packages") or ())]
    found: list[str] = []
    for command in commands:
        start = next((text for text in installing if command.startswith(text)), "")
        if command in defaults:
            continue
        if start:
            packages = shlex.split(command.removeprefix(start))
            found.append(
                _key("system_packages", packages) if packages == listed else _call("system_packages", packages)
            )
        else:
            found.append("run_script of its Image" if _SCRIPT.fullmatch(command) else _call("run", [command]))
    if section.get("setup_script") and (of_scripts := [n for n, one in enumerate(found) if one.startswith("run_sc")]):
        found[of_scripts[-1]] = _key("setup_script", [str(section["setup_script"])])
    yield from dict.fromkeys(found)


def name_of_model(model: Any) -> str:
    """Return what a service calls a model that is not in BentoML's store. Args: model: a BentoModelInfo."""
    named = (model.metadata or {}).get("model_id") if model.registry == "huggingface" else ""
    return f'HuggingFaceModel("{named}")' if named else f"the model {model.tag} of {model.registry}"


def _key(name: str, values: Sequence[str]) -> str:
    return f"docker.{name} ({', '.join(values)})"


def _call(name: str, values: Sequence[str]) -> str:
    return f"{name}({', '.join(json.dumps(value, ensure_ascii=False) for value in values)}) of its Image"
