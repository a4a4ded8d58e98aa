"""Verifying that a published image works: pull it by digest, start it, send a request, stop it."""

import contextlib
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bentoship.errors import EngineError, NotVerifiedError, ProcessError, VerifyError
from bentoship.image.platforms import platform_of
from bentoship.stores.graph import manifests_of
from bentoship.system.text import size
from bentoship.system.values import dataclass
from bentoship.verify.runner import Memory, RemoteImage, Runner, Running
from bentoship.verify.sample import Answer, Sample, shown

READY_TIMEOUT = 300.0
"""Seconds within which a service has to become ready."""

_LAST_LINES = 15
_ERROR = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(\S.*)", re.MULTILINE)
# The loader's words for a library of the system that a package needs.
_LIBRARY = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")
_READY = Sample("/readyz")
_SCHEMA = Sample("/docs.json")


@dataclass(frozen=True)
class Proof:
    """The result of a verification.

    Args:
        digest: the image's digest.
        runner: the name of the runner.
        seconds: the seconds from the start until the service was ready.
        answer: a line on the request and its response.
        memory: the memory used; None when unknown.
        code: the exit code; None when the service could not end by itself in the runner.
    """

    digest: str
    runner: str
    seconds: float
    answer: str
    memory: Memory | None
    code: int | None

    @property
    def lines(self) -> list[str]:
        """Return the result as lines of text."""
        memory = f", {size(self.memory.size)} of memory {self.memory.measure}" if self.memory else ""
        end = f"ended with exit code {self.code}" if self.code is not None else "could not end by itself without /proc"
        return [
            f"{self.digest} works in {self.runner}",
            self.answer,
            f"ready after {self.seconds:.1f} s{memory}; it {end}",
        ]


def verify(image: RemoteImage, runners: Sequence[Runner], sample: Sample | None, tell: Callable[[str], None]) -> Proof:
    """Start an image, send it a request, and stop it.

    Args:
        image: the image in its registry; of an index, the image for this machine is used.
        runners: the ways to start it, in order of preference; when one cannot start it, the next one is tried.
        sample: the request and its expected response; None to check only that it is ready and has an OpenAPI schema.
        tell: called with progress messages.

    Raises:
        VerifyError: it does not start, responds with something else, or does not end with exit code 0.
        NotVerifiedError: it is for other platforms.
        BentoshipError: it cannot be pulled.
    """
    own = fitting(image)
    if own.root != image.root:
        tell(f"{image.root.digest} is an index; {own.root.digest} is its image for this machine")
    with contextlib.ExitStack() as stack:
        runner, running = _start(own, runners, stack, tell)
        try:
            seconds = _wait(running)
            answer = _ask(running, sample)
            memory = running.memory()
            code = running.stop()
            if code:
                raise VerifyError("Stop the service", f"it ended with exit code {code} instead of 0 after SIGTERM")
        except VerifyError as error:
            error.hint = error.hint or _advice(error.why) or running.caution
            for line in running.log().splitlines()[-_LAST_LINES:]:
                tell(f"| {line.rstrip()}")
            raise
    return Proof(own.root.digest, runner.name, seconds, answer, memory, code)


def fitting(image: RemoteImage) -> RemoteImage:
    """Return the image for this machine, from an index if it is one.

    Raises:
        StoreError: it is damaged.
        NotVerifiedError: it is for other platforms.
    """
    # Containers run Linux on any system.
    here = platform_of(platform.machine()) or f"linux/{platform.machine()}"
    images = manifests_of(image.store, image.root)
    if here not in images:
        why = f"it is for {', '.join(images) or 'no platform at all'}, and this machine runs {here}"
        hint = "This says nothing about the image. Verify it on a machine of its platform."
        raise NotVerifiedError(f"Run {image.reference}", why, hint)
    return replace(image, reference=image.reference.with_digest(images[here].digest), root=images[here])


def _start(
    image: RemoteImage, runners: Sequence[Runner], stack: contextlib.ExitStack, tell: Callable[[str], None]
) -> tuple[Runner, Running]:
    """Start an image with the first runner that can; the stack stops it. Raises the last runner's BentoshipError."""
    *others, last = runners
    for runner in others:
        tell(f"pulling {image.reference} for {runner.name}")
        try:
            return runner, stack.enter_context(runner.run(image))
        except (ProcessError, EngineError) as error:
            tell(f"{runner.name} cannot start it: {error.why}")
    tell(f"pulling {image.reference} for {last.name}")
    return last, stack.enter_context(last.run(image))


def _wait(running: Running) -> float:
    """Wait until the service is ready. Returns: the seconds that took. Raises VerifyError."""
    began = time.monotonic()
    while time.monotonic() - began < READY_TIMEOUT:
        if running.ended():
            why = f"it ended before it was ready: {_last_lines(running)}"
            raise VerifyError("Start the service", why)
        with contextlib.suppress(OSError):
            if _READY.send(running.address).status == _READY.status:
                return time.monotonic() - began
        time.sleep(0.1)
    why = f"it is not ready after {READY_TIMEOUT:.0f} s: {_last_lines(running)}"
    raise VerifyError("Start the service", why)


def _last_lines(running: Running) -> str:
    """Return the last lines of a service's log on one line, after the error that came first if it is another."""
    log = running.log()
    lines = [line.strip() for line in log.splitlines() if line.strip(" \t^~")]
    errors = [error.strip() for error in _ERROR.findall(log)]
    # Before the error that a log ends with there is the line of the source that raised it.
    last = " ".join(lines[-1:] if lines[-1:] == errors[-1:] else lines[-2:]) or "its log is empty"
    # BentoML ends with an error of its own when its worker, where the service is imported, has failed.
    return last if not errors or errors[0] in last else f"{errors[0]}; then {last}"


def _advice(why: str) -> str:
    """Return what to do about an image that does not start, as far as the error says it."""
    if library := _LIBRARY.search(why):
        return (
            f"A package needs {library[1]}, which the image lacks: require one that brings its own, as "
            "opencv-python-headless does, or add the system's package that has it to system_packages."
        )
    return ""


def _ask(running: Running, sample: Sample | None) -> str:
    """Send the sample request, or read the OpenAPI schema. Returns: a line on the response. Raises VerifyError."""
    if sample is None:
        schema = _send(_SCHEMA, running).content
        paths = schema.get("paths") if isinstance(schema, dict) else None
        if not paths:
            raise VerifyError("Read the OpenAPI schema", f"GET {_SCHEMA.path} returned {shown(schema)}")
        return f"ready, with an OpenAPI schema of {len(paths)} paths; there is no sample request to compare with"
    answer = _send(sample, running)
    return f"{sample.method} {sample.path}: {answer.status} {shown(answer.content)}"


def _send(sample: Sample, running: Running) -> Answer:
    """Send a request and return its response. Raises VerifyError unless it is the expected one."""
    try:
        answer = sample.send(running.address)
    except OSError as error:
        why = f"no response ({error}); the log ends with: {_last_lines(running)}"
        raise VerifyError(f"Send {sample.method} {sample.path}", why) from error
    sample.check(answer)
    return answer
