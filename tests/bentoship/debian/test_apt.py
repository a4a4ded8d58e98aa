"""The host's apt, with its real servers."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bentoship.debian import apt
from bentoship.debian.apt import Apt
from bentoship.errors import BaseImageError
from bentoship.system import records, retry
from bentoship.system.progress import State
from tests.support import proxy as proxies
from tests.support.cache import kept, needs_apt, of_run
from tests.support.proxy import Fault
from tests.support.reporting import Told

pytestmark = needs_apt


@pytest.fixture(scope="session")
def folder() -> Path:
    """A folder whose lists are fresh mostly."""
    return kept() / "apt"


def test_an_answer_of_another_shape_is_asked_for_again(folder: Path, tmp_path: Path) -> None:
    """An empty one would be a base without packages."""
    before = Apt(folder).resolve(["netbase"], architecture="amd64", dependencies=False)
    for file in (*folder.glob("amd64-*/apt.conf"), *folder.glob("amd64-*/updated")):
        (tmp_path / file.parent.name).mkdir(exist_ok=True)
        shutil.copy2(file, tmp_path / file.parent.name)  # its configuration names the lists of the other folder
    values: tuple[object, ...] = ([], {}, [{}])
    for value in values:
        for answer in tmp_path.glob("*/answer-*.json"):
            records.keep(answer, value)
        found = Apt(tmp_path).resolve(["netbase"], architecture="amd64", dependencies=False)
        assert [package.sha256 for package in found] == [package.sha256 for package in before]
    assert len(list(tmp_path.glob("*/answer-*.json"))) == 1


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH on which nothing is found."""
    monkeypatch.setenv("PATH", "/nonexistent")


def test_package_is_downloaded_as_the_list_says(folder: Path) -> None:
    """A .deb file has the size and hash that the signed list gives."""
    [package] = Apt(folder).download(["netbase"], dependencies=False)
    content = package.path.read_bytes()
    assert (package.name, package.architecture) == ("netbase", "all")
    assert (len(content), hashlib.sha256(content).hexdigest()) == (package.size, package.sha256)


def test_dependencies_come_along_by_name(folder: Path) -> None:
    """What a package needs belongs to the answer, what is only recommended doesn't."""
    names = [package.name for package in Apt(folder).resolve(["python3"])]
    assert names == sorted(names)
    assert {"libc6", "python3", "python3-minimal"} <= set(names)
    assert "ca-certificates" not in names


def test_nothing_is_run_for_what_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """While lists are young, what was asked once is answered, and what is there is taken, without apt."""
    before = Apt(folder).download(["netbase"], architecture="amd64", dependencies=False)
    request.getfixturevalue("no_programs")
    assert Apt(folder).download(["netbase"], architecture="amd64", dependencies=False) == before


def test_other_architecture_is_resolved(folder: Path) -> None:
    """The host's architecture doesn't matter."""
    found = {package.name: package.architecture for package in Apt(folder).resolve(["bash"], architecture="arm64")}
    assert found["bash"] == "arm64"
    assert set(found.values()) <= {"all", "arm64"}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mirror with packages for amd64 alone, in place of the host's; the file that tells what it has."""
    folder = tmp_path / "mirror" / "dists" / "stable"
    (folder / "main" / "binary-amd64").mkdir(parents=True)
    content = b"\n"
    (folder / "main" / "binary-amd64" / "Packages").write_bytes(content)
    release = folder / "Release"
    listed = f"{hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages"
    about = f"Suite: stable\nDate: {formatdate(usegmt=True)}\n"
    release.write_text(f"{about}Architectures: amd64\nComponents: main\nSHA256:\n {listed}\n")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        entry = f"types: deb\nuris: {uri}\nsuites: stable\ncomponents: main\ntrusted: yes\n"
        monkeypatch.setattr(apt, "own_sources", lambda _, release: entry)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield release
        server.shutdown()


def test_a_mirror_without_an_architecture_is_told(mirror: Path, tmp_path: Path) -> None:
    """Which one is missing, and what to do, and not that some package is unknown."""
    assert mirror.is_file()
    with pytest.raises(BaseImageError) as caught:
        Apt(tmp_path / "apt").resolve(["bash"], architecture="arm64")
    assert str(caught.value) == (
        "Refresh the lists of Debian's packages for arm64: this host's package sources have none for arm64\n"
        "Set BASE_IMAGE=python:3.11-slim."
    )


def test_a_mirror_that_lacks_what_it_names_is_told(mirror: Path, tmp_path: Path) -> None:
    """A list that says arm64 where there is none, as Ubuntu's archive does."""
    text = mirror.read_text()
    listed = text.splitlines()[-1].replace("amd64", "arm64")
    mirror.write_text(f"{text.replace('Architectures: amd64', 'Architectures: amd64 arm64')}{listed}\n")
    with pytest.raises(BaseImageError, match=r"(?s)for arm64: .*mirror may not have this arch.*BASE_IMAGE="):
        Apt(tmp_path / "apt").resolve(["bash"], architecture="arm64")


def test_unknown_package_is_told_in_apts_words(folder: Path) -> None:
    """A name that Debian doesn't know is an error with what apt says of it."""
    with pytest.raises(BaseImageError, match="Unable to locate package no-such-package"):
        Apt(folder).resolve(["no-such-package"])


def test_damaged_package_is_downloaded_again(folder: Path, tmp_path: Path) -> None:
    """A .deb file in the cache that isn't what it should be is replaced."""
    (tmp_path / "debs").mkdir()
    for state in folder.iterdir():
        if state.name != "debs":
            (tmp_path / state.name).symlink_to(state)
    [package] = Apt(tmp_path).resolve(["netbase"], dependencies=False)
    package.path.write_bytes(b"x" * package.size)
    told = Told()
    Apt(tmp_path, told).fetch([package])
    assert told.tasks == [State("downloading Debian packages", package.size, package.size)]
    assert hashlib.sha256(package.path.read_bytes()).hexdigest() == package.sha256


def test_a_mirror_that_fails_for_a_while_is_asked_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though apt itself gives up on most of what its servers answer; what is not there is final."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    [package] = Apt(folder).resolve(["netbase"], dependencies=False)
    uri = urlsplit(package.uri or "")
    if uri.scheme != "http":
        pytest.skip("this host's mirror speaks TLS, which no proxy here can spoil")
    for state in folder.iterdir():
        if (state / "apt.conf").is_file():
            shutil.copytree(state, tmp_path / state.name)
            conf = tmp_path / state.name / "apt.conf"
            conf.write_text(conf.read_text("utf-8").replace(str(folder), str(tmp_path)), "utf-8")
    with proxies.before(f"{uri.hostname}:{uri.port or 80}") as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        proxy.faults += [Fault(status=503), Fault(status=500), Fault(lost=True)]
        [fetched] = Apt(tmp_path).download(["netbase"], dependencies=False)
        assert hashlib.sha256(fetched.path.read_bytes()).hexdigest() == package.sha256
        assert proxy.count("GET") == 4
        fetched.path.unlink()
        proxy.faults.append(Fault(status=404, times=9))
        with pytest.raises(BaseImageError, match="404"):
            Apt(tmp_path).fetch([fetched])
        assert proxy.count("GET") == 5


def test_no_network_is_told_in_apts_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that can't be refreshed are an error, not an old system."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    with pytest.raises(BaseImageError, match=r"(?s)Failed to fetch.*BASE_IMAGE=") as caught:
        Apt(tmp_path).resolve(["netbase"])
    assert "Refresh" in caught.value.doing


@pytest.mark.usefixtures("no_programs")
def test_host_without_apt_names_another_base(tmp_path: Path) -> None:
    """Without apt the error says which setting helps."""
    with pytest.raises(BaseImageError, match=r"BASE_IMAGE=python:3\.11-slim"):
        Apt(tmp_path).resolve(["netbase"], architecture="amd64")


_SCRIPT = """
import sys
from pathlib import Path
from urllib.parse import urlsplit
from bentoship.debian.apt import Apt
print(Apt(Path(sys.argv[1])).download(["hostname"], dependencies=False)[0].sha256)
"""


@pytest.fixture(scope="session")
def odd_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with a space and an umlaut in its name."""
    return of_run(tmp_path_factory, worker_id) / "zwei Räume"


def test_two_at_once_in_an_odd_folder_and_locale(odd_folder: Path, folder: Path) -> None:
    """Two processes share a new folder; neither its name nor locale nor umask matters."""
    [expected] = Apt(folder).resolve(["hostname"], dependencies=False)
    env = {**os.environ, "LC_ALL": "C", "LANGUAGE": "de", "PYTHONPATH": os.pathsep.join(sys.path)}

    def download() -> str:
        args = [sys.executable, "-c", _SCRIPT, str(odd_folder)]
        return subprocess.run(args, env=env, umask=0o077, check=True, capture_output=True, text=True).stdout.strip()

    with ThreadPoolExecutor() as pool:
        results = [pool.submit(download) for _ in range(2)]
    assert [result.result() for result in results] == [expected.sha256] * 2
