"""Files and folders that more than one process may use."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship.system import files, records
from bentoship.system.files import (
    PARTIAL,
    SharedFolder,
    file_lock,
    is_present,
    linked_file,
    remove_abandoned,
    remove_tree,
    temporary_folder,
    write_whole,
    writing,
)
from bentoship.system.folders import make_once

HOLDS = """\
import sys
from pathlib import Path
from bentoship.system.files import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_other_processes_waiting(tmp_path: Path) -> None:
    """Who comes second waits, and goes on when the first has ended, however it ended."""
    path = tmp_path / "folder" / "lock"
    src = str(Path(__file__).parents[3] / "src")
    args = [sys.executable, "-c", HOLDS, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(args, **pipes, env={"PYTHONPATH": src}, text=True) as first:  # type: ignore[call-overload]
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(args, **pipes, env={"PYTHONPATH": src}, text=True) as second:  # type: ignore[call-overload]
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(0.5)
            first.kill()
            assert second.stdout.readline() == "held\n"
            second.stdin.close()
            second.wait(10)
    with file_lock(path):
        pass


MAKES = """\
import sys
from pathlib import Path
from bentoship.system.files import temporary_folder
with temporary_folder(Path(sys.argv[1]), "part-") as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def gone(path: Path) -> None:
    """Wait until something is removed."""
    deadline = time.monotonic() + 10
    while path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_temporary_folder_outlives_nobody(tmp_path: Path) -> None:
    """It goes with its block, or with the next one after its process was killed; never while it is used."""
    src = str(Path(__file__).parents[3] / "src")
    args = [sys.executable, "-c", MAKES, str(tmp_path / "scratch")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(args, **pipes, env={"PYTHONPATH": src}, text=True) as other:  # type: ignore[call-overload]
        theirs = Path(other.stdout.readline().strip())
        with temporary_folder(tmp_path / "scratch", "part-") as ours:
            assert {path.name for path in ours.parent.glob("part-*")} == {ours.name, theirs.name}
        gone(ours)
        other.kill()
    assert (theirs / "file").exists()
    with temporary_folder(tmp_path / "scratch", "part-") as ours:
        assert list(ours.parent.glob("part-*")) == [ours]
        assert ours.is_dir()


WRITES = """\
import sys
from pathlib import Path
from bentoship.system.files import unfinished_file
def pieces():
    yield b"half"
    print("begun", flush=True)
    sys.stdin.read()
with unfinished_file(Path(sys.argv[1]), pieces()) as file:
    file.replace(Path(sys.argv[1], "theirs"))
"""


def test_an_unfinished_file_outlives_nobody(tmp_path: Path) -> None:
    """The next to write in the folder removes it, whatever process has its id now; never while it is written."""
    src = str(Path(__file__).parents[3] / "src")
    args = [sys.executable, "-c", WRITES, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen(args, **pipes, env={"PYTHONPATH": src}, text=True) as killed,  # type: ignore[call-overload]
        subprocess.Popen(args, **pipes, env={"PYTHONPATH": src}, text=True) as other,  # type: ignore[call-overload]
    ):
        assert (killed.stdout.readline(), other.stdout.readline()) == ("begun\n", "begun\n")
        write_whole(tmp_path / "ours", b"")
        assert len(list(tmp_path.glob(".*"))) == 2
        killed.kill()
        killed.wait()
        write_whole(tmp_path / "ours", b"more")
        assert len(list(tmp_path.glob(".*"))) == 1
        other.communicate("")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "theirs"]


def test_a_second_name_is_not_abandoned_while_it_is_used(tmp_path: Path) -> None:
    """Though its content was written long ago; a killed process leaves a name that the next removes."""
    (tmp_path / "file").touch()
    with linked_file(tmp_path, tmp_path / "file") as name:
        remove_abandoned(tmp_path, PARTIAL)
        assert name.exists()
    assert not name.exists()
    name.hardlink_to(tmp_path / "file")
    remove_abandoned(tmp_path, PARTIAL)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_not_ours_to_remove_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A link is not followed, and what is another user's may be in use by one that we do not see."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    place = tmp_path / "bentoship-1"
    if kind == "link":
        place.symlink_to(tmp_path / "theirs")
    else:
        place.mkdir() if kind == "folder" else place.touch()
        monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1)
    remove_abandoned(tmp_path, "bentoship-")
    assert os.path.lexists(place)
    assert (tmp_path / "theirs" / "file").exists()


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a loss of power there is the old content or the new one."""
    synced: list[tuple[int, bool]] = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, (tmp_path / "file").exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(tmp_path / "file", b"content")
    assert synced == [(7, False)]
    os.utime(tmp_path / "file", (1, 1))
    write_whole(tmp_path / "file", b"content")
    assert len(synced) == 1
    assert (tmp_path / "file").stat().st_mtime > 1  # what is the same is as new as if it had been written


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_may_not_be_written_to_are_removed(tmp_path: Path) -> None:
    """Such as an image has."""
    (tmp_path / "folder" / "below" / "more").mkdir(parents=True)
    (tmp_path / "folder" / "below").chmod(0o500)
    remove_tree(tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """What was there is replaced, and nothing else is left in the folder."""
    write_whole(tmp_path / "file", b"one")
    write_whole(tmp_path / "file", b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"two")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_named_by_the_folder_that_is_filled(tmp_path: Path) -> None:
    """The system does not say which one it is; an error that is not the disk's stays as it is."""
    with pytest.raises(OSError, match="No space left") as full, temporary_folder(tmp_path, "part-"):
        Path("/dev/full").write_bytes(b"content")
    assert full.value.filename == str(tmp_path)
    with pytest.raises(ConnectionResetError) as reset, temporary_folder(tmp_path, "part-"):
        raise ConnectionResetError(104, "Connection reset by peer")
    assert reset.value.filename is None


def test_threads_write_the_same_file_at_once(tmp_path: Path) -> None:
    """As two publications in one process do: each succeeds, and one of their contents is there."""
    path, contents = tmp_path / "file", [bytes([number]) * 10_000 for number in range(8)]
    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(write_whole, [path] * 400, contents * 50))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """The system does not say which one it is; an error that names a file stays as it is."""
    with (
        pytest.raises(OSError, match="No space left") as caught,
        writing(tmp_path),
        Path("/dev/full").open("wb") as disk,
    ):
        disk.write(b"content")
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(FileNotFoundError) as missing, writing(tmp_path):
        (tmp_path / "missing").read_bytes()
    assert missing.value.filename == str(tmp_path / "missing")


def test_a_failed_write_leaves_the_old(tmp_path: Path) -> None:
    """A folder in the file's place stays what it is, and no part is left."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_is_present_with_its_size(tmp_path: Path) -> None:
    """Not one that is cut short, or gone."""
    (tmp_path / "file").write_bytes(b"1234")
    assert is_present(tmp_path / "file", 4)
    assert not is_present(tmp_path / "file", 5)
    assert not is_present(tmp_path / "other", 0)


@pytest.mark.parametrize(("hours", "renewed"), [(23, False), (25, True)])
def test_asking_for_a_file_renews_its_time_once_a_day(tmp_path: Path, hours: int, renewed: bool) -> None:
    """So that it is known what nobody has used for long, and nearly nothing is written for that."""
    file, then = tmp_path / "file", time.time() - hours * 3600
    file.touch()
    os.utime(file, (then, then))
    assert is_present(file, 0)
    assert (file.stat().st_mtime > time.time() - 60) == renewed


USES = """
use = SharedFolder(Path(sys.argv[1]))
print("cleared" if Path(sys.argv[1], "cleared").exists() else "begun", flush=True)
sys.stdin.read()
"""


def start_using(folder: Path) -> subprocess.Popen[str]:
    """Begin to use the folder in another process, until its stdin is closed."""
    imports = f"import sys\nsys.path[:0] = {sys.path!r}\nfrom pathlib import Path\n"
    script = f"{imports}from bentoship.system.files import SharedFolder\n{USES}"
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def another_user(folder: Path) -> Iterator[None]:
    """Another process uses the folder while the block lasts."""
    with start_using(folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        yield
        process.communicate("")


def test_who_uses_a_folder_alone_is_told_so(tmp_path: Path) -> None:
    """Also the second time, and in a folder that is yet to be made."""
    use = SharedFolder(tmp_path / "folder")
    for _ in range(2):
        with use.alone() as is_alone:
            assert is_alone


def test_another_process_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    """As long as is said."""
    use = SharedFolder(tmp_path)
    with start_using(tmp_path) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        ending = threading.Timer(0.2, process.communicate, [""])
        ending.start()
        with use.alone(60) as is_alone:
            assert is_alone
        ending.join()


def test_nobody_is_alone_in_a_folder_beside_another_process(tmp_path: Path) -> None:
    """Once that has ended, one is."""
    use = SharedFolder(tmp_path)
    with another_user(tmp_path), use.alone() as is_alone:
        assert not is_alone
    with use.alone() as is_alone:
        assert is_alone


def test_the_use_of_a_folder_goes_on_after_an_attempt_to_be_alone(tmp_path: Path) -> None:
    """Whether that was granted or not: others still see it."""
    first = SharedFolder(tmp_path)
    with first.alone() as is_alone:
        assert is_alone
    second = SharedFolder(tmp_path)
    for use in (first, second, first):
        with use.alone() as is_alone:
            assert not is_alone


def test_who_begins_to_use_a_folder_meanwhile_waits(tmp_path: Path) -> None:
    """Nothing is cleared up under the hands of one who has just begun."""
    with SharedFolder(tmp_path).alone() as is_alone:
        assert is_alone
        process = start_using(tmp_path)
        time.sleep(0.5)
        (tmp_path / "cleared").touch()
    assert process.communicate("")[0] == "cleared\n"


@pytest.fixture(params=[0o000, 0o002, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask of this process, which is in force during the test."""
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


def _open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in [folder, *folder.rglob("*")] if path.lstat().st_mode & 0o077]


def test_what_is_written_is_for_this_user_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask: folders and their parents, locks, records, blobs, and temporary folders."""
    cache = tmp_path / "cache"
    with files.file_lock(cache / "locks" / "one"), files.temporary_folder(cache / "scratch", "x-") as folder:
        files.write_whole(folder / "record", b"x")
        records.keep(cache / "records" / "one.json", {})
        shared = files.SharedFolder(cache / "shared")
        with files.partial_file(cache / "blobs" / "sha256", [b"x"]) as (partial, _, _):
            partial.replace(cache / "blobs" / "sha256" / "one")
        make_once(cache / "bases" / "one", lambda made: (made / "etc").mkdir(0o700))
        assert _open_to_others(cache) == []
    del shared
    assert os.umask(umask) == umask


def test_what_others_made_is_closed_when_it_is_taken_over(tmp_path: Path, umask: int) -> None:
    """Files stay executable, and what links lead to stays as it is."""
    folder = tmp_path / "bento"
    (folder / "src").mkdir(parents=True, mode=0o755)
    (folder / "src" / "run.sh").touch(0o755)
    (folder / "src" / "service.py").touch(0o644)
    outside = tmp_path / "outside"
    outside.touch()
    outside.chmod(0o644)
    (folder / "link").symlink_to(outside)
    files.close_to_others(folder)
    assert [path for path in _open_to_others(folder) if not path.endswith("link")] == []
    assert [(folder / "src" / name).stat().st_mode & 0o777 for name in ("run.sh", "service.py")] == [
        0o700 & ~umask,
        0o600 & ~umask,
    ]
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_folder_from_before_is_closed(tmp_path: Path) -> None:
    """Its content keeps its modes, since nobody else reaches it; a folder that is not there is no error."""
    (tmp_path / "cache" / "inner").mkdir(parents=True)
    for path in (tmp_path / "cache", tmp_path / "cache" / "inner"):
        path.chmod(0o775)
    files.close_folder(tmp_path / "cache")
    files.close_folder(tmp_path / "absent")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache" / "inner").stat().st_mode & 0o777 == 0o775
