"""Child processes: their environment, output and end. Only this and settings.py read os.environ."""

from __future__ import annotations

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
        """The end of what it complained about, for an error message."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return " ".join(lines[-3:]) or f"exit code {self.code}"


def environment(
    *, prefixes: Iterable[str] = (), names: Iterable[str] = (), extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment for a child: an allow-list of ours, never everything.

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
    """Whether BENTOSHIP_DEBUG asks for tracebacks, readable also when the settings are wrong."""
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
    program = str(args[0])
    try:
        with subprocess.Popen(
            [str(a) for a in args],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as child:
            try:
                stdout, stderr = child.communicate(input, timeout)
            except subprocess.TimeoutExpired as error:
                _end_group(child)
                raise ProcessError(f"Run {Path(program).name}", f"it did not end within {timeout:g} s") from error
            except BaseException:
                _end_group(child)
                raise
    except OSError as error:
        raise ProcessError(f"Run {program}", error.strerror or str(error), f"Install {program}.") from error
    done = Completed(child.returncode, stdout, stderr)
    if check and done.code != 0:
        raise ProcessError(f"Run {Path(program).name}", done.last_lines)
    return done


def run_together(
    args: Sequence[str | Path], inputs: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None
) -> None:
    """Run a program several times at once, each with an input of its own.

    Raises:
        ProcessError: it is not there, or one of them failed. All have ended then, as they have on an interrupt.
    """
    with contextlib.ExitStack() as running:
        finishing = [running.enter_context(beside(args, env=env, cwd=cwd, input=text)) for text in inputs]
        for finish in finishing:
            done = finish()
            if done.code:
                raise ProcessError(f"Run {Path(args[0]).name}", done.last_lines)


@contextlib.contextmanager
def beside(
    args: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None, input: str = ""
) -> Iterator[Callable[[], Completed]]:
    """Run a program beside this one; it is ended with the block, if it has not come to its end.

    Args:
        args: the program and its arguments.
        env: its whole environment.
        cwd: the folder that it runs in; ours when it is None.
        input: what it reads.

    Yields: what waits for its end and tells how that was. Raises: ProcessError when it is not there.
    """
    with contextlib.ExitStack() as open_files:
        # Files, not pipes, which nobody empties while the program is not waited for.
        given, out, err = (open_files.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(input.encode())
        given.seek(0)
        try:
            child = subprocess.Popen(
                [str(a) for a in args],
                env=dict(env),
                cwd=cwd,
                stdin=given,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise ProcessError(f"Run {args[0]}", error.strerror or str(error)) from error

        def finish() -> Completed:
            code = child.wait()
            for file in (out, err):
                file.seek(0)
            return Completed(code, *(file.read().decode(errors="replace") for file in (out, err)))

        try:
            yield finish
        finally:
            if child.poll() is None:
                _end_group(child)


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
    try:
        child = subprocess.Popen(
            [str(a) for a in args],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"Run {args[0]}", error.strerror or str(error), f"Install {args[0]}.") from error
    with child:
        try:
            for line in child.stdout or ():
                on_line(line.rstrip())
            return child.wait()
        except BaseException:
            _end_group(child)
            raise


def _end_group(leader: subprocess.Popen[Any]) -> None:
    """End a program and all that it started: kindly, then by force."""
    for how, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            leader.wait(patience)
            return


def start_detached(args: Sequence[str | Path], *, env: Mapping[str, str], log: Path) -> int:
    """Start a program that outlives this one: a session of its own, no stream of ours, its output in a file.

    Returns: its process id. Raises: ProcessError when it cannot be started.
    """
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                [str(a) for a in args],
                env=dict(env),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError as error:
        raise ProcessError(f"Start {args[0]}", error.strerror or str(error)) from error
    return child.pid
