"""Why a Bento needs a Dockerfile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from bentoml._internal.bento.build_config import CondaOptions, DockerOptions
from bentoml._internal.container.frontend.dockerfile import CONTAINER_METADATA
from bentoml.images import Image

from bentoship.bento.unsupported import ignored_beside_image, reasons_of_first_format, reasons_of_image


def reasons(image: Image, docker: object = None) -> list[str]:
    """What is said of an image that a service has made."""
    return list(reasons_of_image([*image.commands, *image.post_commands], docker, CONTAINER_METADATA))


def test_an_image_is_named_by_its_methods() -> None:
    """Each with what the service gives it; what BentoML adds by itself is no reason."""
    image = Image(python_version="3.11").system_packages("libgl1", "a b").run("make all").python_packages("attrs")
    second = '"a b"' if "'a b'" in image.commands[-2] else '"a", "b"'  # earlier versions of BentoML do not quote it
    assert reasons(image.run('echo "x"')) == [
        f'system_packages("libgl1", {second}) of its Image',
        'run("make all") of its Image',
        'run("echo \\"x\\"") of its Image',
    ]
    assert reasons(Image(python_version="3.11").python_packages("attrs")) == []


def test_a_file_is_named_by_its_keys() -> None:
    """Also beside an Image, whose own packages and scripts are not the file's."""
    image = Image(python_version="3.11").system_packages("git").system_packages("curl")
    image.commands += [f"chmod +x ./env/docker/{name} && ./env/docker/{name}" for name in ("script__1", "script__2")]
    assert reasons(image, {"system_packages": ["curl"], "setup_script": "./setup.sh"}) == [
        'system_packages("git") of its Image',
        "docker.system_packages (curl)",
        "run_script of its Image",
        "docker.setup_script (./setup.sh)",
    ]


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        ({"cuda_version": 12}, ["docker.cuda_version (12) (BentoML's base for CUDA has no Python of its own"]),
        ({"cuda_version": "12.1", "base_image": "nvidia/cuda:12"}, []),
        ({"system_packages": ["git", "curl"]}, ["docker.system_packages (git, curl)"]),
        ({"system_packages": ["git"], "base_image": "python:3.11"}, []),
        ({"setup_script": "a.sh", "base_image": "python:3.11"}, ["docker.setup_script (a.sh)"]),
        ({"dockerfile_template": "a.j2"}, ["docker.dockerfile_template (a.j2)"]),
    ],
)
def test_the_first_format_is_named_by_its_keys(docker: dict[str, object], words: list[str]) -> None:
    """Each with the user's own value; what BentoML ignores beside a base image is no reason."""
    info = SimpleNamespace(docker=DockerOptions(**docker), conda=CondaOptions())  # type: ignore[arg-type]  # a test's
    found = list(reasons_of_first_format(info, docker))
    assert len(found) == len(words)
    assert all(one.startswith(word) for one, word in zip(found, words, strict=True))


def test_a_bento_that_is_built_already_is_named_by_what_it_says() -> None:
    """There is no configuration beside it, only the version that BentoML has made of "12"."""
    docker = DockerOptions(cuda_version="12")
    info = SimpleNamespace(docker=docker, conda=CondaOptions(channels=["a"]))
    conda, cuda = reasons_of_first_format(info, None)
    assert conda == "conda"
    assert str(docker.cuda_version).startswith("12.")
    assert cuda.startswith(f"docker.cuda_version ({docker.cuda_version}) (")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"python": {"wheels": ["a.whl"]}}, "python.wheels"),
        ({"docker": {"cuda_version": 12, "dockerfile_template": "a.j2"}, "conda": {"channels": ["a"]}, "python": None},
         "docker.cuda_version, docker.dockerfile_template, conda"),
        ({"python": {"packages": ["attrs"], "wheels": []}, "docker": {"base_image": "a"}}, ""),
    ],
)  # fmt: skip
def test_what_is_ignored_beside_an_image_is_named(options: dict[str, object], named: str) -> None:
    """By its keys, in one sentence."""
    sentence = f"BentoML ignores {named}, as the service has an Image: say it there"
    assert ignored_beside_image(options) == ([sentence] if named else [])
