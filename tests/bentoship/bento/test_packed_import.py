"""Services that read what is never packed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.packing import may_hold_credentials
from bentoship.errors import BentoError
from tests.support.bento import append, edit, make_project
from tests.support.slow import cases

READ = "pathlib.Path(__file__).with_name('.env').read_text()"

DOTENV = """
def load_dotenv():
    file = pathlib.Path(__file__).with_name(".env")
    if file.is_file():
        os.environ.update(line.split("=") for line in file.read_text().splitlines())
load_dotenv()
WORD = os.environ["WORD"]
"""

WITHOUT = {
    "caught": f"try:\n    {READ}\nexcept OSError:\n    pass\n",
    "looked for": f"pathlib.Path(__file__).with_name('.env').is_file() and {READ}\n",
    "a variable": DOTENV,
    "not at import": f"def later():\n    {READ}\n",
}
"""What a service does that starts without a .env, or that a container gives its variables."""


def with_code(folder: Path, code: str) -> bento.BuildContext:
    """A project with a .env, whose service runs some code when it is imported."""
    context = make_project(folder)
    append(folder / ".env", "WORD=planted")
    edit(folder / "service.py", "import bentoml\n", f"import os\nimport pathlib\nimport bentoml\n{code}\n")
    return context


@pytest.mark.slow
def test_a_service_that_needs_a_file_with_credentials_is_refused(tmp_path: Path) -> None:
    """As its image would not start; with the place, and what to do."""
    context = with_code(tmp_path / "project", f"assert {READ}")
    with pytest.raises(BentoError) as caught:
        bento.build(context)
    assert caught.value.why == "the service needs .env when it is imported (service.py, line 4), which is never packed"
    assert "envs of bentofile.yaml" in caught.value.hint
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("code", cases(WITHOUT))
def test_a_service_that_can_do_without_is_built(code: str, tmp_path: Path) -> None:
    """As python-dotenv can; and its variables come from the container."""
    assert bento.build(with_code(tmp_path / "project", code)).fresh


@pytest.mark.parametrize(
    ("name", "expected"), [(".env", True), ("sub/.env.local", True), (".aws/config", True), ("env.py", False)]
)
def test_what_may_hold_credentials(name: str, expected: bool) -> None:
    """By its name, in any folder."""
    assert may_hold_credentials(name) == expected
