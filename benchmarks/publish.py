"""Measures publishing side by side: `python -m benchmarks.publish`, on Debian as root."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks import disk, machine, plot, report
from benchmarks import registry as registries
from benchmarks.cases import CASES, Bench
from benchmarks.measure import CommandError, UnmeasuredError
from benchmarks.readme import with_results
from benchmarks.report import Sample
from benchmarks.sides import Ours, Theirs
from tests.support import dockerd


@dataclass
class Results:
    """What was measured, and what was not, and why."""

    machine: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    unmeasured: dict[str, str] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, write what was asked for. Returns: 1 when something could not be measured."""
    options = _parser().parse_args(arguments)
    # As an interrupt does, it ends the engine and the registry, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = Results()
    with _scratch(results) as scratch, _bench(scratch, options, results) as bench:
        measure(bench, options.case or list(CASES), results)
    told = report.markdown(results.samples, results.machine, results.unmeasured)
    print(told, end="")
    if options.json:
        document = report.document(results.samples, results.machine, results.unmeasured)
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if options.plot:
        options.plot.write_text(plot.svg(report.summarize(results.samples)), "utf-8")
    if options.readme:
        options.readme.write_text(with_results(options.readme.read_text("utf-8"), told), "utf-8")
    return 1 if results.unmeasured else 0


def measure(bench: Bench, cases: list[str], results: Results) -> None:
    """Measure cases; one that cannot be measured is no reason to leave out the others."""
    for name in (name for name in CASES if name in cases):
        began = time.monotonic()
        try:
            for sample in CASES[name](bench):
                results.samples.append(sample)
                _say(f"{sample.case}: {sample.who}: {sample.values['seconds']:.2f} s")
        except (UnmeasuredError, CommandError) as error:
            results.unmeasured[name] = str(error).partition("\n")[0]
            _say(f"{name}: not measured: {error}")
        _say(f"{name}: {time.monotonic() - began:.0f} s in all")


@contextmanager
def _scratch(results: Results) -> Iterator[Path]:
    """A folder for all files of both sides, on a file system of its own where that can be had."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(disk.own())
            results.machine["file system"] = "an ext4 of its own, with a journal"
        except UnmeasuredError as missing:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
            results.machine["file system"] = f"that of {folder.parent} ({missing})"
        # For all that makes temporary files, in other processes, too.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(folder))
            patch.setenv("TMPDIR", str(folder))
            yield folder


@contextmanager
def _bench(scratch: Path, options: argparse.Namespace, results: Results) -> Iterator[Bench]:
    """Both sides, set up from nothing, and their registry; all of it ends with the block."""
    with registries.running(scratch / "registry") as registry, ExitStack() as stack:
        engine, theirs = None, None
        try:
            engine = stack.enter_context(dockerd.running()).engine
            theirs = Theirs(scratch / "theirs", registry, engine, dockerd.bentoml_base(engine))
        except (UnmeasuredError, pytest.skip.Exception, pytest.fail.Exception) as missing:
            results.unmeasured[Theirs.name] = str(missing)
            _say(f"{Theirs.name}: not measured: {missing}")
        results.machine |= machine.describe(engine)
        yield Bench(Ours(scratch / "ours", registry), theirs, registry, scratch, options.runs, options.model_mib << 20)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="how often each case is measured (%(default)s)"
    )
    parser.add_argument(
        "--case", action="append", choices=list(CASES), help="only this one; may be given several times"
    )
    parser.add_argument(
        "--model-mib", type=int, default=1024, metavar="N", help="size of the large model (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured, for programs")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it, as SVG")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="renew the results in a Markdown file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
