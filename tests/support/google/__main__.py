"""Google Cloud on this machine, to try publishing by hand: `python -m tests.support.google`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.support.google import Google

_MARK = "# Written by tests.support.google, for as long as it runs.\n"
_SOURCES = Path(__file__).parents[3] / "src"


def main() -> None:
    """Start it, print what belongs into .env, tell of each call, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.google", description=__doc__)
    parser.add_argument("--port-base", type=int, default=0, help="of three ports, the first (default: any free ones)")
    parser.add_argument("--env", type=Path, help="the file to write the settings to, instead of standard output")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long creating and enabling take")
    arguments = parser.parse_args()
    if arguments.env and arguments.env.exists() and not arguments.env.read_text("utf-8").startswith(_MARK):
        parser.error(f"{arguments.env} has settings of your own: move it away, or name another file")
    ended = threading.Event()
    sys.path.insert(0, str(_SOURCES))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="google-") as folder,
        Google(Path(folder), port=arguments.port_base, report=report) as google,
    ):
        google.state.operation_seconds = arguments.seconds
        lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in google.environment.items())
        if arguments.env:
            arguments.env.write_text(_MARK + lines, "utf-8")
        else:
            print(lines, end="", flush=True)
        report("Google Cloud is there. Ctrl-C ends it.")
        ended.wait()


if __name__ == "__main__":
    main()
