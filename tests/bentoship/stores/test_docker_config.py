"""Credential helpers in Docker's configuration."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bentoship.errors import SettingsError
from bentoship.stores.credentials import find_credentials
from bentoship.stores.docker_config import config_file, installed_helper, name_helper

HOST = "europe-west6-docker.pkg.dev"
SOURCES = Path(__file__).parents[3] / "src"

# As docker login writes it, with what bentoship knows nothing of.
LOGGED_IN = """\
{
	"auths": {
		"ghcr.io": {
			"auth": "YWxpY2U6c2VjcmV0"
		}
	},
	"currentContext": "größer",
	"credHelpers": {
		"us-docker.pkg.dev": "gcloud"
	},
	"detachKeys": "ctrl-a"
}"""

NAME = f"""\
import sys
from bentoship.stores.docker_config import name_helper
for number in range(10):
    name_helper(f"{{sys.argv[1]}}-{{number}}.{HOST}", "gcloud")
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody whose home folder is empty."""
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


def write(env: dict[str, str], text: str) -> Path:
    """Docker's configuration, with a text as it is."""
    file = config_file(env)
    file.parent.mkdir()
    file.write_text(text, "utf-8")
    return file


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return path.stat().st_mode & 0o777


def visible(folder: Path) -> list[str]:
    """What a folder holds besides locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_first_helper_is_named(env: dict[str, str]) -> None:
    """The folder and the file are their user's alone, whatever the umask would let others do."""
    before = os.umask(0)
    try:
        file = name_helper(HOST, "gcloud", env=env)
    finally:
        os.umask(before)
    assert file == Path(env["HOME"], ".docker", "config.json")
    assert file.read_text() == f'{{\n\t"credHelpers": {{\n\t\t"{HOST}": "gcloud"\n\t}}\n}}'
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert visible(file.parent) == ["config.json"]


def test_docker_config_names_the_folder(env: dict[str, str], tmp_path: Path) -> None:
    """It is made when it is not there."""
    env["DOCKER_CONFIG"] = str(tmp_path / "a" / "b")
    assert name_helper(HOST, "gcr", env=env) == tmp_path / "a" / "b" / "config.json"
    assert visible(tmp_path) == ["a"]


def test_our_environment_says_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no other one is given."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "set"))
    assert name_helper(HOST, "gcloud") == tmp_path / "set" / "config.json"


def test_everything_else_stays(env: dict[str, str]) -> None:
    """Accounts, other helpers, what is unknown, the order, the tabs and the letters beyond ASCII."""
    file = write(env, LOGGED_IN)
    assert name_helper(HOST, "gcloud", env=env) == file
    added = f'"us-docker.pkg.dev": "gcloud",\n\t\t"{HOST}": "gcloud"'
    assert file.read_text("utf-8") == LOGGED_IN.replace('"us-docker.pkg.dev": "gcloud"', added)


@pytest.mark.parametrize("indent", ["  ", "    ", "\t", None])
def test_the_indent_stays(env: dict[str, str], indent: str | None) -> None:
    """Whoever has written the file, and whether or not its last line ends."""
    document = {"auths": {"ghcr.io": {}}, "psFormat": "\u00fc<&"}
    file = write(env, json.dumps(document, indent=indent) + "\n")
    name_helper(HOST, "gcloud", env=env)
    assert file.read_text() == json.dumps({**document, "credHelpers": {HOST: "gcloud"}}, indent=indent) + "\n"


@pytest.mark.parametrize("text", ["", "\n", "{}", '{"credHelpers": null}'])
def test_a_file_with_nothing_in_it_is_filled(env: dict[str, str], text: str) -> None:
    """As Docker would."""
    file = write(env, text)
    assert name_helper(HOST, "gcloud", env=env) == file
    assert json.loads(file.read_text()) == {"credHelpers": {HOST: "gcloud"}}


def test_a_named_helper_is_not_named_again(env: dict[str, str]) -> None:
    """The file is not written; another helper's name is replaced, another host is added."""
    file = write(env, json.dumps({"credHelpers": {HOST: "gcr"}}))
    assert name_helper(HOST, "gcloud", env=env) == file
    written = file.stat()
    assert name_helper(HOST, "gcloud", env=env) is None
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert name_helper("eu.gcr.io", "gcloud", env=env) == file
    assert json.loads(file.read_text())["credHelpers"] == {HOST: "gcloud", "eu.gcr.io": "gcloud"}


def test_what_is_named_is_asked(env: dict[str, str], tmp_path: Path) -> None:
    """The account at the host is had from the helper, others from where they were."""
    file = write(env, json.dumps({"auths": {"ghcr.io": {"auth": base64.b64encode(b"alice:secret").decode()}}}))
    program = tmp_path / "bin" / "docker-credential-gcloud"
    program.parent.mkdir()
    program.write_text("""#!/bin/sh\necho '{"Username": "_dcgcloud_token", "Secret": "of the helper"}'\n""")
    program.chmod(0o755)
    name_helper(HOST, "gcloud", env=env)
    found = {host: find_credentials(host, env=env) for host in (HOST, "ghcr.io")}
    assert {host: account and account.password for host, account in found.items()} == {
        HOST: "of the helper", "ghcr.io": "secret",
    }  # fmt: skip
    assert "of the helper" not in file.read_text()


def test_the_mode_stays(env: dict[str, str]) -> None:
    """Of the file and of its folder."""
    file = write(env, "{}")
    file.chmod(0o640)
    file.parent.chmod(0o755)
    name_helper(HOST, "gcloud", env=env)
    assert (mode(file), mode(file.parent)) == (0o640, 0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_owner_stays(env: dict[str, str]) -> None:
    """Where root names the helper for somebody else."""
    file = write(env, "{}")
    os.chown(file, 1234, 4321)
    name_helper(HOST, "gcloud", env=env)
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 4321)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(env: dict[str, str], tmp_path: Path, there: bool) -> None:
    """What it leads to is written, also when that is not there yet."""
    target = tmp_path / "dotfiles" / "docker.json"
    target.parent.mkdir()
    if there:
        target.write_text("{}")
    file = config_file(env)
    file.parent.mkdir()
    file.symlink_to(Path("..", "dotfiles", "docker.json"))
    assert name_helper(HOST, "gcloud", env=env) == file
    assert file.is_symlink()
    assert json.loads(target.read_text()) == {"credHelpers": {HOST: "gcloud"}}
    assert (visible(file.parent), visible(target.parent)) == (["config.json"], ["docker.json"])


def test_processes_do_not_undo_each_other(env: dict[str, str]) -> None:
    """Each one's hosts are in the file in the end."""
    args = [sys.executable, "-c", NAME]
    running = [subprocess.Popen([*args, name], env={**env, "PYTHONPATH": str(SOURCES)}) for name in ("a", "b", "c")]
    assert [child.wait(60) for child in running] == [0, 0, 0]
    assert len(json.loads(config_file(env).read_text())["credHelpers"]) == 30
    assert visible(config_file(env).parent) == ["config.json"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"auths": {"ghcr.io": "secret"', "not the JSON that Docker writes"),
        ('["secret"]', "the document is not an object"),
        ('{"credHelpers": ["secret"]}', "credHelpers is not an object"),
    ],
)
def test_what_is_not_understood_is_not_touched(env: dict[str, str], text: str, why: str) -> None:
    """The error names the file, the reason and what to do, and quotes none of it."""
    file = write(env, text)
    with pytest.raises(SettingsError, match=why) as raised:
        name_helper(HOST, "gcloud", env=env)
    assert str(file) in str(raised.value)
    assert raised.value.hint == "Fix or remove it."
    assert "secret" not in str(raised.value)
    assert [path.name for path in file.parent.iterdir()] == ["config.json"]
    assert file.read_text() == text


def test_bytes_that_are_no_text_are_not_touched(env: dict[str, str]) -> None:
    """They are no JSON either."""
    file = write(env, "")
    file.write_bytes(b'{"\xff')
    with pytest.raises(SettingsError, match="not the JSON"):
        name_helper(HOST, "gcloud", env=env)
    assert file.read_bytes() == b'{"\xff'


def test_a_folder_that_cannot_be_is_told(env: dict[str, str], tmp_path: Path) -> None:
    """Such as one below a file, or one in the file's place."""
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "config.json").mkdir(parents=True)
    for folder in ("file/below", "folder"):
        with pytest.raises(SettingsError, match="directory") as raised:
            name_helper(HOST, "gcloud", env={**env, "DOCKER_CONFIG": str(tmp_path / folder)})
        assert "DOCKER_CONFIG" in raised.value.hint


@pytest.mark.parametrize("which", ["config.json", "."])
def test_what_may_not_be_written_is_not(env: dict[str, str], which: str) -> None:
    """A file that is read-only, or a folder; also where the file could be replaced all the same."""
    file = write(env, "{}")
    path = file.parent / which
    path.chmod(0o500 if path.is_dir() else 0o400)
    without = []
    if os.geteuid() == 0:  # who may write everything, until a capability is dropped
        if not shutil.which("setpriv"):
            pytest.skip("as root it needs setpriv, of util-linux")
        without = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    done = subprocess.run(
        [*without, sys.executable, "-c", NAME, "a"],
        env={**env, "PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
    )
    path.chmod(0o700)
    assert "SettingsError" in done.stderr
    assert f"Make {file}" in done.stderr
    assert (file.read_text(), visible(file.parent)) == ("{}", ["config.json"])


@pytest.mark.parametrize(("there", "expected"), [([], None), (["gcr"], "gcr"), (["gcr", "gcloud"], "gcloud")])
def test_the_installed_helper_is_found(env: dict[str, str], there: list[str], expected: str | None) -> None:
    """On PATH, and as a program; gcloud's own comes first."""
    folder = Path(env["PATH"])
    folder.mkdir()
    (folder / "docker-credential-gcloud").touch(0o644)
    for name in there:
        (folder / f"docker-credential-{name}").touch()
        (folder / f"docker-credential-{name}").chmod(0o755)
    assert installed_helper(env) == expected


def test_nothing_is_installed_where_there_is_no_path() -> None:
    """Ours does not count then."""
    assert installed_helper({}) is None
