"""The last line of a publish, which is there to be copied."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bentoship.bento import Env
from bentoship.commands.publish import run_line
from bentoship.image.reference import ImageReference
from tests.support.synthetic import bento_in

REFERENCE = ImageReference.parse(f"localhost:5000/bentoship/echo@sha256:{64 * 'a'}")


@pytest.mark.parametrize(
    ("envs", "given"),
    [
        ((), ""),
        ((Env("MODE", "planted", "all"), Env("TOKEN", "", "build")), ""),
        ((Env("KEY", "", "all"), Env("MODE", "planted", "runtime"), Env("KEY", "", "runtime")), "-e KEY -e MODE "),
        ((Env("KEY", "planted", "all"), Env("KEY", "", "all")), ""),
        ((Env("$(id) ", "", "all"),), "-e '$(id) ' "),
    ],
)
def test_the_command_names_the_variables_that_an_image_lacks(envs: tuple[Env, ...], given: str, tmp_path: Path) -> None:
    """Without their values, which the shell has; a name is one word of it."""
    bento = dataclasses.replace(bento_in(tmp_path), envs=envs)
    assert run_line(REFERENCE, bento) == f"docker run --rm -p 3000:3000 {given}{REFERENCE}"
