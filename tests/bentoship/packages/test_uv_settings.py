"""uv's settings: what of them counts here."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from uv import find_uv_bin

from bentoship.packages.uv_settings import calling_uv, format_options, lock_settings
from bentoship.system.process import run


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file of settings but the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("UV_CONFIG_FILE", raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_LINK_MODE", "symlink"), ("UV_GENERATE_HASHES", "1"), ("UV_UNIVERSAL", "1"), ("UV_NO_DEPS", "1"),
        ("UV_NO_VERIFY_HASHES", "1"), ("UV_COMPILE_BYTECODE", "1"), ("UV_NO_BINARY", "1"), ("UV_PROJECT", "/x"),
        ("UV_WORKING_DIR", "/x"), ("UV_SYSTEM_PYTHON", "1"), ("UV_ANYTHING_NEW", "1"),
    ],
)  # fmt: skip
def test_how_uv_works_is_not_the_users_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """It would change or empty what is installed."""
    before = lock_settings()
    monkeypatch.setenv(name, value)
    with calling_uv(tmp_path) as env:
        assert name not in env
    assert lock_settings() == before


@pytest.mark.parametrize(
    ("name", "value", "decides"),
    [
        ("UV_INDEX", "https://h/simple", True), ("UV_PRERELEASE", "allow", True), ("UV_EXCLUDE_NEWER", "2025", True),
        ("UV_TORCH_BACKEND", "cpu", True), ("UV_NO_SOURCES", "1", True), ("UV_NO_SOURCES_PACKAGE", "torch", True),
        ("UV_INDEX_ACME_PASSWORD", "s3cr3t", False), ("UV_HTTP_TIMEOUT", "9", False), ("UV_OFFLINE", "1", False),
    ],
)  # fmt: skip
def test_where_packages_come_from_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, decides: bool
) -> None:
    """It counts; what decides which packages come makes another lock."""
    before = lock_settings()
    monkeypatch.setenv(name, value)
    with calling_uv(tmp_path) as env:
        assert env[name] == value
    assert (lock_settings() != before) is decides


def test_no_python_is_fetched_to_lock_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other one does as well, and its server may be out of reach: uv says so, and goes on at once."""
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "automatic")
    command = [find_uv_bin(), "pip", "compile", "-", "--python-version", "3.15", "--no-index"]
    with calling_uv(tmp_path) as env:
        env["HTTPS_PROXY"] = "http://127.0.0.1:9"
        done = run(command, env=env, cwd=tmp_path, check=False, input="")
    assert done.code == 0
    assert "3.15 is not available" in done.stderr
    assert "download" not in done.stderr


def test_a_password_is_no_part_of_what_a_lock_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes more often than the index behind it."""
    keys = set()
    for password in ("one", "other"):
        monkeypatch.setenv("UV_INDEX", f"https://u:{password}@h/simple")
        keys.add(lock_settings())
    assert len(keys) == 1


def test_files_start_where_we_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where uv runs; a change of such a file makes another lock."""
    (tmp_path / "a folder").mkdir()
    monkeypatch.chdir(tmp_path / "a folder")
    Path("limits.txt").write_text("six<2\n")
    for name, value in {
        "UV_CONSTRAINT": "limits.txt https://h/more.txt",
        "UV_FIND_LINKS": "wheels,https://h/wheels",
        "UV_INDEX": "acme=./index https://u@h/simple",
        "UV_CACHE_DIR": ".uv-cache",
        "SSL_CERT_FILE": "ca.pem",
    }.items():
        monkeypatch.setenv(name, value)
    here, address = f"{tmp_path}/a folder", f"file://{tmp_path}/a%20folder"
    with calling_uv(tmp_path) as env:
        assert env["UV_CONSTRAINT"] == f"{address}/limits.txt https://h/more.txt"
        assert env["UV_FIND_LINKS"] == f"{here}/wheels,https://h/wheels"
        assert env["UV_INDEX"] == f"acme={address}/index https://u@h/simple"
        assert env["UV_CACHE_DIR"] == f"{here}/.uv-cache"
        assert env["SSL_CERT_FILE"] == f"{here}/ca.pem"
    before = lock_settings()
    Path("limits.txt").write_text("six<1.16\n")
    assert lock_settings() != before


@pytest.mark.parametrize(
    "text", ['find-links = ["wheels"]', '[[index]]\nurl = "wheels"', '[pip]\nextra-index-url = ["wheels"]', ""]
)
@pytest.mark.parametrize("name", ["UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX"])
def test_what_is_in_folders_of_packages_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """By name, size and time; of an index, also what is in the folders of its packages."""
    folder = tmp_path / "wheels" / ("" if name == "UV_FIND_LINKS" or "find" in text else "tool")
    folder.mkdir(parents=True)
    if text:
        monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
        (tmp_path / "uv.toml").write_text(text)
    else:
        monkeypatch.setenv(name, f"acme={tmp_path}/wheels" if name == "UV_INDEX" else f"{tmp_path}/wheels")
    keys = [lock_settings()]
    for content in ("one", "one", "other one"):
        (folder / "tool-1.0-py3-none-any.whl").write_text(content)
        os.utime(folder / "tool-1.0-py3-none-any.whl", (1, 1))
        keys.append(lock_settings())
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("env", "text", "lines"),
    [
        ({}, "", []),
        ({"UV_NO_BINARY_PACKAGE": "a b"}, "", ["--no-binary a", "--no-binary b"]),
        ({"UV_NO_BUILD_PACKAGE": "c"}, "", ["--only-binary c"]),
        ({"UV_NO_BUILD": "1", "UV_NO_BINARY": "0"}, "", ["--only-binary :all:"]),
        ({"UV_NO_BINARY": "true"}, "no-build-package = ['c']", ["--no-binary :all:", "--only-binary c"]),
        ({}, "no-binary-package = ['a']\n[pip]\nonly-binary = ['c']", ["--no-binary a", "--only-binary c"]),
    ],
)  # fmt: skip
def test_what_uv_is_set_to_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], text: str, lines: list[str]
) -> None:
    """By variables and in files of settings, in the form that requirements have."""
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    (tmp_path / "uv.toml").write_text(text)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert format_options() == lines


@pytest.mark.parametrize("by", ["user", "variable", "uv.toml", "pyproject.toml"])
def test_of_a_file_of_settings_indexes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """With relative paths from where the file is; all else in it is left out."""
    text = """
no-deps = true
link-mode = "symlink"
find-links = ["./wheels", "https://h/wheels"]
[[index]]
name = "acme"
url = "https://u:p@h/simple"
explicit = true
[pip]
generate-hashes = true
prerelease = "allow"
"""
    places = {"user": "config/uv/uv.toml", "variable": "my.toml", "uv.toml": "uv.toml"}
    file = tmp_path / places.get(by, "pyproject.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    if by == "pyproject.toml":
        text = "[tool.uv]\n" + text.replace("[index]", "[tool.uv.index]").replace("[pip]", "[tool.uv.pip]")
    file.write_text(text)
    if by == "variable":
        monkeypatch.setenv("UV_CONFIG_FILE", str(file))
    with calling_uv(tmp_path) as env:
        given = Path(env["UV_CONFIG_FILE"])
        assert given.stat().st_mode & 0o077 == 0
        assert tomllib.loads(given.read_text()) == {
            "find-links": [f"{file.parent}/wheels", "https://h/wheels"],
            "index": [{"name": "acme", "url": "https://u:p@h/simple", "explicit": True}],
            "pip": {"prerelease": "allow"},
        }
    assert not given.exists()


def test_what_uv_takes_from_its_command_line_alone_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ignore these options in a file; and variables are there for it to put in."""
    monkeypatch.setenv("TOKEN", "s3cr3t")
    with calling_uv(tmp_path, "--pre\n--trusted-host h\n--index-url http://u:${TOKEN}@h/simple\n") as env:
        assert (env["UV_PRERELEASE"], env["UV_INSECURE_HOST"], env["TOKEN"]) == ("allow", "h", "s3cr3t")


def test_uv_has_a_cache_where_there_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it would have one in the folder that it runs in."""
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with calling_uv(tmp_path) as env:
        assert env["UV_CACHE_DIR"] == str(tmp_path / "uv")
