"""The proof that a published image works: pulled by digest, started, asked, stopped."""

import contextlib
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bentoship.errors import EngineError, NotVerifiedError, ProcessError, VerifyError
from bentoship.image.platforms import platform_of
from bentoship.stores.graph import manifests_of
from bentoship.system.text import size
from bentoship.verify.runner import Memory, RemoteImage, Runner, Running
from bentoship.verify.sample import Answer, Sample, shown

READY_TIMEOUT = 300.0
"""Seconds that a service has to become ready."""

_LAST_LINES = 15
_READY = Sample("/readyz")
_SCHEMA = Sample("/docs.json")


@dataclass(frozen=True)
class Proof:
    """What an image has shown.

    Args:
        digest: the image's.
        runner: what it ran in.
        seconds: from its start until it was ready.
        answer: what it answered, in words.
        memory: what it held; None when that cannot be told.
        code: its exit code; None when it could not end by itself there.
    """

    digest: str
    runner: str
    seconds: float
    answer: str
    memory: Memory | None
    code: int | None

    @property
    def lines(self) -> list[str]:
        """Return the proof in words, a line for each thing that was shown."""
        memory = f", {size(self.memory.size)} of memory {self.memory.measure}" if self.memory else ""
        end = f"ended with exit code {self.code}" if self.code is not None else "could not end by itself without /proc"
        return [
            f"{self.digest} works in {self.runner}",
            self.answer,
            f"ready after {self.seconds:.1f} s{memory}; it {end}",
        ]


def verify(image: RemoteImage, runners: Sequence[Runner], sample: Sample | None, tell: Callable[[str], None]) -> Proof:
    """Start an image, ask it, and stop it.

    Args:
        image: in its registry; of an index that for this machine is tried.
        runners: ways to start it; the next one is taken where an engine is there, but may start nothing here.
        sample: what to ask; None for nothing but whether it is ready and what it offers.
        tell: told in words how it goes on.

    Raises:
        VerifyError: it does not start, answers something else, or does not end well.
        NotVerifiedError: it is for other machines.
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
        except VerifyError:
            for line in running.log().splitlines()[-_LAST_LINES:]:
                tell(f"| {line.rstrip()}")
            raise
    return Proof(own.root.digest, runner.name, seconds, answer, memory, code)


def fitting(image: RemoteImage) -> RemoteImage:
    """Return the image for this machine: of an index one that it holds, else the image itself.

    Raises:
        StoreError: it is damaged.
        NotVerifiedError: it is for other machines.
    """
    # Containers are Linux's on any system.
    here = platform_of(platform.machine()) or f"linux/{platform.machine()}"
    images = manifests_of(image.store, image.root)
    if here not in images:
        why = f"it is for {', '.join(images) or 'no platform at all'}, and this machine runs {here}"
        hint = "This says nothing about the image. On such a machine it can be tried."
        raise NotVerifiedError(f"Run {image.reference}", why, hint)
    return replace(image, reference=image.reference.with_digest(images[here].digest), root=images[here])


def _start(
    image: RemoteImage, runners: Sequence[Runner], stack: contextlib.ExitStack, tell: Callable[[str], None]
) -> tuple[Runner, Running]:
    """Start an image by the first runner that can; the stack stops it. Raises BentoshipError as the last one does."""
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
    """Wait until the service is ready. Returns: how many seconds that took. Raises VerifyError."""
    began = time.monotonic()
    while time.monotonic() - began < READY_TIMEOUT:
        if running.ended():
            raise VerifyError("Start the service", f"it ended before it was ready: {_last_lines(running)}")
        with contextlib.suppress(OSError):
            if _READY.send(running.address).status == _READY.status:
                return time.monotonic() - began
        time.sleep(0.1)
    raise VerifyError("Start the service", f"it is not ready after {READY_TIMEOUT:.0f} s: {_last_lines(running)}")


def _last_lines(running: Running) -> str:
    """Return the end of what a service has written, on one line."""
    lines = [line.strip() for line in running.log().splitlines() if line.strip()]
    return " ".join(lines[-2:]) or "it has written nothing"


def _ask(running: Running, sample: Sample | None) -> str:
    """Ask for the answer that is expected. Returns: what came, in words. Raises VerifyError."""
    if sample is None:
        schema = _send(_SCHEMA, running).content
        paths = schema.get("paths") if isinstance(schema, dict) else None
        if not paths:
            raise VerifyError("Read the OpenAPI schema", f"GET {_SCHEMA.path} answers {shown(schema)}")
        return f"ready, with an OpenAPI schema of {len(paths)} paths; there is no sample request to compare with"
    answer = _send(sample, running)
    return f"{sample.method} {sample.path}: {answer.status} {shown(answer.content)}"


def _send(sample: Sample, running: Running) -> Answer:
    """Send a request, and return the answer, which is as expected. Raises VerifyError."""
    try:
        answer = sample.send(running.address)
    except OSError as error:
        why = f"no answer ({error}); it says {_last_lines(running)}"
        raise VerifyError(f"Send {sample.method} {sample.path}", why) from error
    sample.check(answer)
    return answer
