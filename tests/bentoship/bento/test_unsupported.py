"""Why a Bento needs a Dockerfile."""

from __future__ import annotations

from bentoml._internal.container.frontend.dockerfile import CONTAINER_METADATA
from bentoml.images import Image

from bentoship.bento.unsupported import reasons_of_image


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
