"""Checking that this machine is ready to publish. Nothing is started, and nothing but the cache is changed."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Unpack

from bentoship.bento import Bento, BuildContext
from bentoship.commands import examination
from bentoship.commands import terminal as console
from bentoship.commands.examination import Finding
from bentoship.commands.terminal import Terminal
from bentoship.errors import BentoshipError, RegistryError, SettingsError
from bentoship.project import Project, Run
from bentoship.publishing.steps import IMPORTING
from bentoship.settings import Settings, environment, load
from bentoship.system.deadline import Overdue, time_limit
from bentoship.system.progress import Details, StepReporter, Task
from bentoship.system.values import dataclass
from bentoship.system.waiting import reporting_waits

_PATIENCE = 5.0
"""Seconds within which all checks, which run at once, have to end, but for that of the service."""

_PATIENCE_WITH_GOOGLE = 8.0
"""Seconds; Google's modules take a second to import, and a token needs one more request."""

_PATIENCE_WITH_SERVICE = 60.0
"""Seconds that a service gets to be imported, and its packages to be locked, unless some have to be installed."""

_PATIENCE_WITH_BASE = 60.0
"""Seconds within which a base has to be looked up; the lists of Debian's packages are tens of megabytes."""

Look = Callable[[], Finding | Iterable[Finding]]


def show(findings: Sequence[Finding], *, as_json: bool = False) -> bool:
    """Print the findings and the verdict.

    Args:
        findings: the findings of `examine`.
        as_json: whether to print JSON instead of text.

    Returns: whether this machine is ready to publish with the current settings.
    """
    ready = not any(finding.stops_publish for finding in findings)
    if as_json:
        document = {"ready_to_publish": ready, "findings": [asdict(finding) for finding in findings]}
        console.result_as_json(document)
        return ready
    for finding in findings:
        console.say(finding.subject, f"{finding.state:<8} {finding.text}", to=sys.stdout)
        for hint in finding.hint.splitlines():
            console.say("", f"{'':<8} {hint}", to=sys.stdout)
    console.say("doctor", "ready to publish" if ready else "not ready to publish", to=sys.stdout)
    return ready


def examine(folder: Path) -> list[Finding]:
    """Return the findings of all checks, which run at once; those of the service and its base come last.

    Args:
        folder: the project's folder.
    """
    settings, found = _settings(folder)
    terminal = Terminal()
    context = Project(folder, settings).build_context if settings else BuildContext(folder, folder, folder)
    looks: list[tuple[str, Look]] = [
        ("python", examination.python),
        ("bentoml", lambda: examination.package("bentoml")),
        ("uv", lambda: examination.package("uv")),
        ("bentofile", lambda: examination.configuration(context)),
        ("git", examination.git),
        ("docker", lambda: examination.docker(settings)),
        ("podman", examination.podman),
    ]
    if settings:
        # What fails is reported, not waited for.
        run = Run(Project(folder, replace(settings, retry_seconds=0.0)), terminal)
        looks += [
            ("apt", lambda: examination.apt(settings.base_image)),
            ("disk", lambda: examination.space(settings.cache)),
            ("folders", lambda: examination.folders(run.project)),
            ("cache", lambda: examination.cache(run.layers.size, settings.cache_limit)),
            *([("registry", lambda: _local_registry(run))] if settings.registry == "local" else _remote(run)),
        ]
    patience = _PATIENCE_WITH_GOOGLE if settings and settings.registry == "google" else _PATIENCE
    with terminal.task("doctor"):
        return [*found, *_all(looks, patience, lambda: _service(run) if settings else [])]


def _settings(folder: Path) -> tuple[Settings | None, list[Finding]]:
    """Return the settings, None when they are invalid, and the findings about them."""
    try:
        environment.export(folder)
        settings = load(folder)
    except SettingsError as error:
        mistakes = [Finding("settings", "problem", mistake, error.hint, True) for mistake in error.mistakes]
        return None, [*mistakes, Finding("registry", "problem", "not checked: it depends on the settings")]
    if settings.warnings:
        return settings, [Finding("settings", "problem", warning, "Correct it.") for warning in settings.warnings]
    return settings, [Finding("settings", "ok", f"REGISTRY={settings.registry}, BACKEND={settings.backend}")]


def _local_registry(run: Run) -> Finding:
    """Check the registry on this machine, which publish would start."""
    from bentoship.providers.distribution import installed
    from bentoship.providers.local import LocalRegistry

    settings = run.project.settings
    registry = LocalRegistry(settings.cache, settings.local_registry_port)
    if why := registry.obstacle():
        return Finding(
            "registry", "problem", why, "Set LOCAL_REGISTRY_PORT to a free port, or leave it unset.", stops_publish=True
        )
    if port := registry.running():
        return Finding("registry", "ok", f"the local registry is running at localhost:{port}")
    if program := installed(settings.cache):
        return Finding("registry", "ok", f"the local registry is not running; publish starts {program}")
    if examination.apt("").state == "ok" and sys.platform.startswith("linux"):
        return Finding("registry", "missing", "the local registry's program", "Publish gets it from Debian's packages.")
    hint = "Install it (apt install docker-registry, brew install docker-distribution), or set REGISTRY to another one."
    return Finding("registry", "missing", "the local registry's program", hint, stops_publish=True)


def _remote(run: Run) -> list[tuple[str, Look]]:
    # Created before the parallel checks need it, so that it finds the account only once; they report its errors.
    with suppress(BentoshipError):
        run.provider  # noqa: B018 - creates and caches it
    google = [("google", lambda: _google(run))] if run.project.settings.registry == "google" else []
    return [*google, ("credentials", lambda: _credentials(run)), ("registry", lambda: _registry(run))]


def _google(run: Run) -> Finding:
    """Check project, repository and account with Google's APIs."""
    from bentoship.commands.cloud import outlook

    return Finding("google", "ok", outlook(run.provider))


def _credentials(run: Run) -> Finding:
    """Check for the account that publish would push with; its secrets are not shown."""
    host = run.provider.repository("bentoship").host
    account = run.provider.credentials()
    if account is None:
        hint = f"Most registries require one: docker login {host}"
        return Finding("credentials", "missing", f"no account for {host}", hint)
    return Finding("credentials", "ok", f"{account.account} at {host}")


def _registry(run: Run) -> Finding:
    """Check that the registry responds and accepts the account."""
    target = run.provider.repository("bentoship")
    try:
        run.registry(target, push=True).reach()
    except RegistryError as error:
        return Finding("registry", "problem", f"{error.doing}: {error.why}", error.hint, stops_publish=True)
    return Finding("registry", "ok", f"{target.host} responds")


@dataclass(frozen=True)
class _Installing:
    """A reporter of a step that lifts a time limit once a task of it begins, such as installing packages.

    Args:
        lift: lifts the limit.
        reporter: receives what is reported.
    """

    lift: Callable[[], None]
    reporter: StepReporter

    def say(self, text: str) -> None:
        self.reporter.say(text)

    def task(self, title: str, **details: Unpack[Details]) -> AbstractContextManager[Task]:
        self.lift()
        return self.reporter.task(title, **details)


def _service(run: Run) -> list[Finding]:
    """Import the service as publish would; once packages have to be installed, there is no time limit."""
    try:
        with time_limit(_PATIENCE_WITH_SERVICE) as lift, run.reporter.task("doctor", IMPORTING):
            reporter = _Installing(lift, run.reporter_of("doctor"))
            with reporting_waits(reporter.say, _PATIENCE_WITH_SERVICE):
                found, bento = examination.service(run, reporter)
    except Overdue:
        text = f"importing it and locking its packages takes longer than {_PATIENCE_WITH_SERVICE:g} s"
        return [Finding("service", "ok", f"{text}; publish waits for it")]
    except Exception as error:
        return [examination.problem("service", error, stops_publish=True)]
    return [*found, *(_base(run, bento) if bento else [])]


def _base(run: Run, bento: Bento) -> list[Finding]:
    """Check that the base of a Bento can be had, within a limit of its own."""
    if run.project.settings.backend == "docker":
        return []
    try:
        with time_limit(_PATIENCE_WITH_BASE):
            return [examination.base(run, bento)]
    except Overdue:
        return [_late("base", _PATIENCE_WITH_BASE)]
    except Exception as error:
        return [examination.problem("base", error, stops_publish=True)]


def _all(looks: Sequence[tuple[str, Look]], patience: float, own: Callable[[], list[Finding]]) -> list[Finding]:
    """Return what all checks find, in order; a check that fails or takes too long results in a problem.

    Args:
        looks: the checks, each with its name.
        patience: the seconds that they get together.
        own: one more check, which this thread does meanwhile, for as long as it takes.
    """
    found: dict[int, list[Finding]] = {}

    def look(number: int) -> None:
        name, find = looks[number]
        try:
            result = find()
            found[number] = [result] if isinstance(result, Finding) else list(result)
        except Exception as error:
            stops = isinstance(error, BentoshipError) and name in ("google", "credentials", "registry")
            found[number] = [examination.problem(name, error, stops_publish=stops)]

    # Daemon threads, which end with this process: a check without a response must not delay it.
    threads = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(len(looks))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    last = own()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    none = [[_late(name, patience)] for name, _ in looks]
    return [finding for number, missing in enumerate(none) for finding in found.get(number, missing)] + last


def _late(subject: str, patience: float) -> Finding:
    late = "Try again, or check whether it is reachable."
    return Finding(subject, "problem", f"no response within {patience:g} s", late)
