"""Child processes: their environment, output and end. Only this and the settings read os.environ."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentoship.errors import ProcessError

# What a program needs to run at all, to reach the network, and to be told where its caches are. Never a password.
PASSED_ON = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "RES_OPTIONS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip


@dataclass(frozen=True)
class Completed:
    """How a program ended: its exit code and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_lines(self) -> str:
        """Return the end of what it complained about, for an error message."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return " ".join(lines[-3:]) or f"exit code {self.code}"


def environment(
    *, prefixes: Iterable[str] = (), names: Iterable[str] = (), extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment for a child: an allow-list of ours, never everything.

    Args:
        prefixes: variables that begin so are passed on, too ("UV_").
        names: further variables to pass on.
        extra: variables to set.
    """
    allowed, named = tuple(prefixes), {*PASSED_ON, *names}
    kept = {k: v for k, v in os.environ.items() if k in named or (allowed and k.startswith(allowed))}
    return {**kept, **(extra or {})}


def preset(name: str, value: str) -> None:
    """Set a variable for a library that reads it in this process, unless somebody has set it."""
    if not os.environ.get(name):
        os.environ[name] = value


def debugging() -> bool:
    """Return whether BENTOSHIP_DEBUG asks for tracebacks, readable also when the settings are wrong."""
    return os.environ.get("BENTOSHIP_DEBUG", "0").lower() in {"1", "true", "yes", "on"}


def run(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    check: bool = True,
    input: str | None = None,
    timeout: float | None = None,
) -> Completed:
    """Run a program to its end, its output kept.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        cwd: the folder that it runs in; ours when it is None.
        check: whether an exit code other than 0 is an error.
        input: what it reads; nothing when it is None.
        timeout: seconds after which it is ended; None for never.

    Raises:
        ProcessError: it is not there, did not end in time, or (with check) its exit code is not 0.
    """
    name, pipe = Path(args[0]).name, subprocess.PIPE
    stdin = subprocess.DEVNULL if input is None else pipe
    with _running(args, env, cwd, stdin=stdin, stdout=pipe, stderr=pipe, text=True, errors="replace") as child:
        try:
            stdout, stderr = child.communicate(input, timeout)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"Run {name}", f"it did not end within {timeout:g} s") from error
    done = Completed(child.returncode, stdout, stderr)
    if check and done.code != 0:
        raise ProcessError(f"Run {name}", done.last_lines)
    return done


def run_together(
    args: Sequence[str | Path], inputs: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None
) -> None:
    """Run a program several times at once, each with an input of its own.

    Raises:
        ProcessError: it is not there, or one of them failed. All have ended then, as they have on an interrupt.
    """
    with contextlib.ExitStack() as running:
        waits = [running.enter_context(background(args, env=env, cwd=cwd, input=text)) for text in inputs]
        for wait in waits:
            done = wait()
            if done.code:
                raise ProcessError(f"Run {Path(args[0]).name}", done.last_lines)


@contextlib.contextmanager
def background(
    args: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, input: str = ""
) -> Iterator[Callable[[], Completed]]:
    """Run a program in the background; it is ended with the block, if it has not come to its end.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        cwd: the folder that it runs in; ours when it is None.
        input: what it reads.

    Yields: a function that waits for its end and returns how that was. Raises: ProcessError when it is not there.
    """
    with contextlib.ExitStack() as open_files:
        # Files, not pipes, which nobody empties while the program is not waited for.
        stdin, stdout, stderr = (open_files.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        stdin.write(input.encode())
        stdin.seek(0)
        child = open_files.enter_context(_running(args, env, cwd, stdin=stdin, stdout=stdout, stderr=stderr))

        def wait() -> Completed:
            code = child.wait()
            for file in (stdout, stderr):
                file.seek(0)
            return Completed(code, *(file.read().decode(errors="replace") for file in (stdout, stderr)))

        yield wait


def stream(
    args: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, on_line: Callable[[str], None]
) -> int:
    """Run a program to its end, and hand on what it writes as it comes.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        cwd: the folder that it runs in; ours when it is None.
        on_line: given each line of its output and its complaints, in their order.

    Returns: its exit code. Raises: ProcessError when it is not there.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with _running(args, env, cwd, text=True, errors="replace", **streams) as child:
        for line in child.stdout or ():
            on_line(line.rstrip())
        return child.wait()


def start_detached(args: Sequence[str | Path], *, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program that may outlive this one: no stream of ours, its output at the end of a file, / as its folder.

    Raises: ProcessError when it cannot be started.
    """
    with log.open("ab") as output:
        return _popen(args, env, Path("/"), stdin=subprocess.DEVNULL, stdout=output, stderr=output)


@contextlib.contextmanager
def _running(
    args: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a program; it, and all that it started, is ended with the block unless the block has waited for its end."""
    with _popen(args, env, cwd, **options) as child:
        try:
            yield child
        finally:
            if child.returncode is None:
                _end_group(child)


def _popen(
    args: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a program in a session of its own. Raises: ProcessError when it cannot be started."""
    try:
        return subprocess.Popen(list(map(str, args)), env=dict(env), cwd=cwd, start_new_session=True, **options)
    except OSError as error:
        raise ProcessError(f"Run {args[0]}", error.strerror or str(error), f"Install {args[0]}.") from error


def _end_group(leader: subprocess.Popen[Any]) -> None:
    """End a program and all that it started: kindly, then by force what ignores that, though the program has ended."""
    for ending, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # to macOS, of one that has ended
            os.killpg(leader.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            leader.wait(patience)
