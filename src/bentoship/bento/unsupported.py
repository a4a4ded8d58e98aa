"""Why a Bento needs a Dockerfile, in the words of the configuration that asks for it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SCRIPT = re.compile(r"chmod \+x (\S+) && \1")
"""The command that runs a script (Image.run_script in _bentoml_sdk/images.py)."""

# BentoML takes an image of nvidia/cuda, in which it installs Python (cuda_debian.j2 among its templates).
_CUDA = (
    "{} (BentoML's base for CUDA has no Python of its own; docker.base_image may name an image that has both, and the "
    "wheels of PyTorch and others bring CUDA themselves)"
)


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


def reasons_of_first_format(info: Any, docker: object) -> Iterator[str]:
    """Yield what needs a Dockerfile in BentoML's first format: that of services of before 1.2, and of these options.

    Beside a base image it ignores two of them (DockerOptions in bentoml/_internal/bento/build_config.py).

    Args:
        info: the BentoInfo.
        docker: the section `docker` of the project's options, which has the user's own values.
    """
    section = docker if isinstance(docker, Mapping) else {}
    options = info.docker
    if not info.conda.is_empty():
        yield "conda"
    if options.cuda_version and not options.base_image:
        yield _CUDA.format(_key("cuda_version", [str(section.get("cuda_version") or options.cuda_version)]))
    if options.dockerfile_template:
        yield _key("dockerfile_template", [options.dockerfile_template])
    if options.setup_script:
        yield _key("setup_script", [options.setup_script])
    if options.system_packages and not options.base_image:
        yield _key("system_packages", options.system_packages)


def ignored_beside_image(options: Mapping[str, Any]) -> list[str]:
    """Return what BentoML ignores where the service has an Image, in a sentence, or none; it only logs that.

    Args:
        options: of the project's configuration (populate_image_from_build_config in _bentoml_sdk/images.py).
    """
    sections = {"python": ("wheels",), "docker": ("cuda_version", "dockerfile_template")}
    found = [f"{name}.{key}" for name, keys in sections.items() for key in keys if (options.get(name) or {}).get(key)]
    found += ["conda"] if options.get("conda") else []
    return [f"BentoML ignores {', '.join(found)}, as the service has an Image: say it there"] if found else []


def name_of_model(model: Any) -> str:
    """Return what a service calls a model that is not in BentoML's store. Args: model: a BentoModelInfo."""
    named = (model.metadata or {}).get("model_id") if model.registry == "huggingface" else ""
    return f'HuggingFaceModel("{named}")' if named else f"the model {model.tag} of {model.registry}"


def _key(name: str, values: Sequence[str]) -> str:
    return f"docker.{name} ({', '.join(values)})"


def _call(name: str, values: Sequence[str]) -> str:
    return f"{name}({', '.join(json.dumps(value, ensure_ascii=False) for value in values)}) of its Image"
