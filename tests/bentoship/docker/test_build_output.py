"""What is read from the output of a build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bentoship.docker.build_output import BuildOutput
from bentoship.errors import EngineError

BUILDKIT = """\
#1 [internal] load build definition from Dockerfile
#2 [internal] load metadata for docker.io/library/python:3.11-slim
#5 [base 2/9] RUN adduser bentoml
#5 0.205 adduser: reading /etc/passwd
#6 [base 3/9] COPY . .
#6 0.101 not this
#5 0.311 adduser: the user exists
#5 ERROR: process "/bin/sh -c adduser bentoml" did not complete successfully: exit code: 1
Encountered exception while trying to build a Docker image
Traceback (most recent call last):
"""

CLASSIC = """\
INFO: Step 1/9 : FROM python:3.11-slim
 ---> 0123456789ab
Step 2/9 : ENV A=b
 ---> Running in 1111
 ---> 222222222222
Step 3/9 : RUN adduser bentoml
\x1b[31madduser: the user exists\x1b[0m
Removing intermediate container 1111
The command '/bin/sh -c adduser bentoml' returned a non-zero code: 1
"""

FULL = """\
#5 [base 2/9] RUN apt-get update
#5 1.310   Write error - write (28: No space left on device)
#5 1.400 Ign:4 list
#5 2.115 Reading package lists...
#5 2.174 W: GPG error: list: At least one invalid signature was encountered.
#5 2.176 E: The list is not signed.
#5 ERROR: executor failed running [/bin/sh -c apt-get update]: exit code: 100
"""

BENTOML = """\
Traceback (most recent call last):
  File "template.py", line 1, in <module>
ZeroDivisionError: integer division
or modulo by zero
"""


def read(text: str, file: Path) -> tuple[BuildOutput, EngineError, list[str]]:
    """An output that was read, the error that it stands for, and what was told meanwhile."""
    lines: list[str] = []
    with file.open("w", encoding="utf-8") as stream:
        output = BuildOutput(stream, lines.append)
        for line in text.splitlines():
            output.add(line)
    return output, output.error("echo:1", "unix:///docker.sock"), lines


@pytest.mark.parametrize(
    ("text", "doing", "why"),
    [
        (
            BUILDKIT,
            "Build echo:1 with BentoML and Docker",
            "adduser: reading /etc/passwd / adduser: the user exists / "
            'process "/bin/sh -c adduser bentoml" did not complete successfully: exit code: 1',
        ),
        (
            CLASSIC,
            "Build echo:1 with BentoML and Docker",
            "adduser: the user exists / The command '/bin/sh -c adduser bentoml' returned a non-zero code: 1",
        ),
        (
            BENTOML,
            "Build echo:1 with BentoML and Docker",
            "ZeroDivisionError: integer division / or modulo by zero",
        ),
        (
            "#2 [internal] load metadata for localhost:1/none:such\n#2 ERROR: failed to do request",
            "Build echo:1 with BentoML and Docker on localhost:1/none:such",
            "failed to do request",
        ),
        (
            "Step 1/9 : FROM localhost:1/none:such\nGet http://localhost:1/v2/: refused",
            "Build echo:1 with BentoML and Docker on localhost:1/none:such",
            "Get http://localhost:1/v2/: refused",
        ),
        ("", "Build echo:1 with BentoML and Docker", "there was no output"),
    ],
    ids=["BuildKit", "the classic builder", "BentoML", "BuildKit's base", "the classic builder's base", "nothing"],
)
def test_the_last_words_say_why_a_build_failed(text: str, doing: str, why: str, tmp_path: Path) -> None:
    """Of the step that failed alone, in the words of whoever ended it; all of it is in the file."""
    _, error, _ = read(text, tmp_path / "log")
    assert (error.doing, error.why) == (doing, why)
    assert error.hint.endswith(f"See its output: {tmp_path / 'log'}")
    assert ("docker.base_image" in error.hint) == (" on " in doing)


def test_what_is_to_be_done_depends_on_why(tmp_path: Path) -> None:
    """An engine that has stopped is started again; on one that is full something is removed."""
    _, lost, _ = read("Cannot connect to the Docker daemon at unix:///docker.sock.", tmp_path / "log")
    assert lost.hint.startswith("The engine at unix:///docker.sock has stopped")
    _, full, _ = read("write /layer: No space left on device", tmp_path / "log")
    assert "docker system prune" in full.hint


@pytest.mark.parametrize(
    "text", [FULL, re.sub(r"(?m)^#5 [\d.]+ ", "", FULL.split("#5 ERROR")[0])], ids=["BuildKit", "classic"]
)
def test_a_full_disk_is_named_before_what_follows_from_it(text: str, tmp_path: Path) -> None:
    """apt takes a list that it could not write for one with an invalid signature, and ends with that."""
    _, error, _ = read(text, tmp_path / "log")
    assert error.why.startswith("Write error - write (28: No space left on device) / ")
    assert "E: The list is not signed." in error.why
    assert "docker system prune" in error.hint


def test_what_the_builder_says_is_told_as_it_comes(tmp_path: Path) -> None:
    """Without colours and empty lines, and without BentoML's account of it, which is in the file only."""
    _, _, lines = read(f"\x1b[32mStep 1/9\x1b[0m\n\nINFO:\n{BENTOML}", tmp_path / "log")
    assert lines == ["Step 1/9"]
    assert (tmp_path / "log").read_text("utf-8") == f"Step 1/9\n{BENTOML}"


def test_the_images_of_steps_are_known_but_not_the_base(tmp_path: Path) -> None:
    """Only the classic builder makes images of steps."""
    assert read(CLASSIC, tmp_path / "log")[0].intermediate_images == ["222222222222"]
    assert read(BUILDKIT, tmp_path / "log")[0].intermediate_images == []
