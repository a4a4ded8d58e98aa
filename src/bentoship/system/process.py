"""Child processes: their environment, output and termination. Only this and the settings read os.environ."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from bentoship.errors import ProcessError
from bentoship.system.files import open_private
from bentoship.system.urls import without_secrets
from bentoship.system.values import dataclass

OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version of the Python that runs this process, such as "3.11"."""

OWN_PATIENCE = 10.0
"""Seconds that a process of bentoship's own has to end: it gives `_PATIENCE` to each program that it has started."""

_PATIENCE = 2.0
"""Seconds that a program has to end by itself after SIGTERM."""

# What a program needs to run at all, to reach the network and to find its caches. No password but those of proxies.
PASSED_ON = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "RES_OPTIONS", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
)  # fmt: skip

# Files and folders, which start at the folder where they are named; programs that are run elsewhere need them whole.
_PATHS = frozenset({
    "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
    "UV_CACHE_DIR", "UV_CONFIG_FILE", "UV_CREDENTIALS_DIR", "UV_PYTHON_INSTALL_DIR",
})  # fmt: skip
_PATH_LISTS = {
    "UV_CONSTRAINT": " ", "UV_OVERRIDE": " ", "UV_EXCLUDE": " ", "UV_BUILD_CONSTRAINT": " ", "UV_FIND_LINKS": ",",
    "UV_INDEX": " ", "UV_DEFAULT_INDEX": "", "UV_INDEX_URL": "", "UV_EXTRA_INDEX_URL": " ",
}  # fmt: skip
"""Lists of files or addresses, with what separates them (`uv help pip compile`); a path that has that is an address."""


@dataclass(frozen=True)
class Completed:
    """The result of a program: its exit code and output."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_lines(self) -> str:
        """Return the last lines of its output, preferably on stderr, for an error message."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return " ".join(lines[-3:]) or f"exit code {self.code}"


@dataclass(frozen=True)
class Running:
    """A program in the background.

    Args:
        child: its process.
        stdout, stderr: the files that it writes to.
    """

    child: subprocess.Popen[Any]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def wait(self) -> Completed:
        """Wait for its end, and return its result."""
        code = self.child.wait()
        return Completed(code, self.output, self.complaints)

    @property
    def has_succeeded(self) -> bool:
        """Return whether it has ended with exit code 0."""
        return self.child.poll() == 0

    @property
    def output(self) -> str:
        """Return what it has written to stdout so far."""
        return _content(self.stdout)

    @property
    def complaints(self) -> str:
        """Return what it has written to stderr so far."""
        return _content(self.stderr)


def _content(file: IO[bytes]) -> str:
    # Unlike seek and read, pread does not move the position at which the program writes next.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def environment(
    *, prefixes: Iterable[str] = (), names: Iterable[str] = (), extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment for a child process: an allow-list of this process's variables.

    Args:
        prefixes: prefixes of further variables to pass on ("UV_").
        names: further variables to pass on.
        extra: variables to set.
    """
    allowed, named = tuple(prefixes), {*PASSED_ON, *names}
    kept = {k: v for k, v in os.environ.items() if k in named or (allowed and k.startswith(allowed))}
    return {**kept, **located(kept, Path.cwd), **(extra or {})}


def for_foreign_code(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for code that is not the publisher's: its proxies without users and passwords."""
    return {name: without_secrets(v) if name.lower().endswith("_proxy") else v for name, v in env.items()}


def located(env: Mapping[str, str], folder: Callable[[], Path]) -> dict[str, str]:
    """Return those variables of an environment that name files by relative paths, with these made absolute.

    Args:
        env: the environment.
        folder: returns where the paths start.
    """
    found: dict[str, str] = {}
    for name in env.keys() & (_PATHS | _PATH_LISTS.keys()):
        if name in _PATHS:
            value = str(folder() / Path(env[name]).expanduser()) if env[name] else ""
        else:
            separator = _PATH_LISTS[name]
            parts = env[name].split(separator) if separator else [env[name]]
            value = separator.join(_located(part, separator, folder) for part in parts)
        if value != env[name]:
            found[name] = value
    return found


def _located(entry: str, separator: str, folder: Callable[[], Path]) -> str:
    """Return an entry of a list of files and addresses; an index may have a name ("internal=./index")."""
    label, equals, address = entry.rpartition("=")
    if not address or ":/" in entry or (equals and not re.fullmatch(r"[\w.-]+", label)):
        return entry
    path = folder() / Path(address).expanduser()
    return label + equals + (path.as_uri() if separator and separator in str(path) else str(path))


def home(env: Mapping[str, str]) -> Path:
    """Return the home that an environment names, else that of the user who runs this; "/" as in containers for none."""
    try:
        return Path(env.get("HOME") or "~").expanduser()
    except RuntimeError:  # no entry in /etc/passwd
        return Path("/")


def preset(name: str, value: str) -> None:
    """Set a variable for a library that reads it in this process, unless it is already set."""
    if not os.environ.get(name):
        os.environ[name] = value


def put(variables: Mapping[str, str]) -> None:
    """Set variables of this process's environment."""
    os.environ.update(variables)


def debugging() -> bool:
    """Return whether BENTOSHIP_DEBUG asks for tracebacks, also when the settings are invalid."""
    return os.environ.get("BENTOSHIP_DEBUG", "0").lower() in {"1", "true", "yes", "on"}


def run(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    check: bool = True,
    input: str | None = None,
    timeout: float | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program to its end and return its output.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        cwd: its working directory; this process's when None.
        check: whether an exit code other than 0 is an error.
        input: its standard input; empty when None.
        timeout: seconds after which it is killed; None for never.
        pass_fds: descriptors that it inherits.

    Raises:
        ProcessError: it is missing, did not end in time, or (with check) its exit code is not 0.
    """
    name, pipe = Path(args[0]).name, subprocess.PIPE
    streams = {"stdin": subprocess.DEVNULL if input is None else pipe, "stdout": pipe, "stderr": pipe}
    with _running(args, env, cwd, text=True, errors="replace", pass_fds=pass_fds, **streams) as child:
        try:
            stdout, stderr = child.communicate(input, timeout)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"Run {name}", f"it did not end within {timeout:g} s") from error
    done = Completed(child.returncode, stdout, stderr)
    if check and done.code != 0:
        raise ProcessError(f"Run {name}", done.last_lines)
    return done


def run_together(
    args: Sequence[str | Path],
    inputs: Sequence[str | bytes],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    finish: Callable[[int, IO[bytes]], object] = lambda number, stdout: None,
    watching: Callable[[Sequence[Running]], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> None:
    """Run a program several times at once, each with its own input.

    Args:
        args: the program and its arguments.
        inputs: what each reads.
        env: its whole environment.
        cwd: the folder that it runs in; ours when it is None.
        finish: called with the number of each that has ended, from 0 on, and with what it has written to stdout.
        watching: called with all of them once they run; its block lasts until they have ended.

    Raises:
        ProcessError: it is missing, or one of them failed. All have ended by then, also on an interrupt.
    """
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(background(args, env=env, cwd=cwd, input=text)) for text in inputs]
        with watching(running):
            for number, one in enumerate(running):
                if one.child.wait():
                    raise ProcessError(f"Run {Path(args[0]).name}", one.wait().last_lines)
                one.stdout.seek(0)
                finish(number, one.stdout)


@contextlib.contextmanager
def background(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    input: str | bytes = "",
    pass_fds: Sequence[int] = (),
    patience: float = _PATIENCE,
) -> Iterator[Running]:
    """Run a program in the background; it is ended with the block if it is still running.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        cwd: its working directory; this process's when None.
        input: its standard input.
        pass_fds: descriptors that it inherits.
        patience: seconds that it then has to end by itself, before it is killed.

    Raises: ProcessError when it is missing.
    """
    with contextlib.ExitStack() as open_files:
        # Files, not pipes, which would fill up until someone waits for the program.
        stdin, stdout, stderr = (open_files.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        stdin.write(input.encode() if isinstance(input, str) else input)
        stdin.seek(0)
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        child = open_files.enter_context(_running(args, env, cwd, patience, pass_fds=pass_fds, **streams))
        yield Running(child, stdout, stderr)


def run_answering(args: Sequence[str | Path], *, env: Mapping[str, str], answer: Callable[[str], str]) -> Completed:
    """Run a program to its end, and answer its questions: each is a line on its stdout, each answer one on its stdin.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        answer: returns the answer to a question, without a line end; empty for none.

    Returns: its exit code and what it wrote to stderr. Raises: ProcessError when it is missing.
    """
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile() as complaints,
        _running(args, env, None, stdin=pipe, stdout=pipe, stderr=complaints, text=True, errors="replace") as child,
    ):
        for question in child.stdout or ():
            if (said := answer(question)) and child.stdin:
                with contextlib.suppress(BrokenPipeError):  # it has ended meanwhile
                    child.stdin.write(f"{said}\n")
                    child.stdin.flush()
        return Completed(child.wait(), "", _content(complaints))


def stream(
    args: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, on_line: Callable[[str], None]
) -> int:
    """Run a program to its end, and pass on its output as it comes.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        cwd: its working directory; this process's when None.
        on_line: called with each line of its stdout and stderr, in order.

    Returns: its exit code. Raises: ProcessError when it is missing.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with _running(args, env, cwd, text=True, errors="replace", **streams) as child:
        for line in child.stdout or ():
            on_line(line.rstrip())
        return child.wait()


def start_detached(
    args: Sequence[str | Path], *, env: Mapping[str, str], log: Path, umask: int = -1
) -> subprocess.Popen[bytes]:
    """Start a program that may outlive this one, with / as its working directory and its output appended to a file.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        log: the file.
        umask: its umask; this process's when -1.

    Raises: ProcessError when it cannot be started.
    """
    with open_private(log, "ab") as output:
        return _popen(args, env, Path("/"), stdin=subprocess.DEVNULL, stdout=output, stderr=output, umask=umask)


@contextlib.contextmanager
def _running(
    args: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None, patience: float = _PATIENCE, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a program; it and all that it started are ended after the block, unless the block has waited for it."""
    with _guard() as guarding, _popen(args, env, cwd, **options) as child:
        guarding(child.pid)
        try:
            yield child
        finally:
            if child.returncode is None:
                _end_group(child, patience)


# Its stdin ends when the process that holds the other end does, however that ends.
_GUARD = 'read -r group || exit; read -r _; kill -s TERM -- "-$group"; sleep 2; kill -s KILL -- "-$group"'


@contextlib.contextmanager
def _guard() -> Iterator[Callable[[int], None]]:
    """End a process group if this process is killed during the block, which leaves it no time to do so itself.

    Linux has PR_SET_PDEATHSIG for that, but it acts when the thread ends that started a process, and reaches no group.

    Yields: a function that takes the group.
    """
    command, none = ["/bin/sh", "-c", _GUARD], subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=none, stderr=none, env={}, start_new_session=True, text=True
    ) as guard:

        def guarding(group: int) -> None:
            if guard.stdin:
                print(group, file=guard.stdin, flush=True)

        try:
            yield guarding
        finally:
            guard.kill()


def _popen(
    args: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a program in its own session. Raises ProcessError when it cannot be started."""
    try:
        return subprocess.Popen(list(map(str, args)), env=dict(env), cwd=cwd, start_new_session=True, **options)
    except ValueError as error:  # a NUL byte
        raise ProcessError(f"Run {args[0]}", str(error)) from error
    except OSError as error:
        own = error.filename == str(args[0])  # else it may be the folder to run in
        why = error.strerror if own and error.strerror else str(error)
        hint = f"Install {args[0]}." if own and isinstance(error, FileNotFoundError) else ""
        raise ProcessError(f"Run {args[0]}", why, hint) from error


def _end_group(leader: subprocess.Popen[Any], patience: float) -> None:
    """End a program and all that it started, even if it has ended itself: with SIGTERM, then with SIGKILL."""
    for ending, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for one that has ended
            os.killpg(leader.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            leader.wait(seconds)
