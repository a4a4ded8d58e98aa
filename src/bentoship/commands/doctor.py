"""What is there for publishing and what is not, told within a few seconds, without starting or changing anything."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bentoship.commands import examination
from bentoship.commands import terminal as console
from bentoship.commands.examination import Finding
from bentoship.commands.terminal import Terminal
from bentoship.errors import BentoshipError, RegistryError, SettingsError, explain
from bentoship.project import Project, Run
from bentoship.settings import Settings, environment, load

_PATIENCE = 1.5
"""Seconds that each look may take; they are taken at once."""

_PATIENCE_WITH_GOOGLE = 8.0
"""Its modules take a second to import, and its token one more answer from far away."""

Look = Callable[[], Finding | Iterable[Finding]]


def show(findings: Sequence[Finding], *, as_json: bool = False) -> bool:
    """Print what was found of everything that publish needs.

    Args:
        findings: what `examine` returned.
        as_json: whether a program reads it.

    Returns: whether publish could work with the present settings.
    """
    works = not any(finding.stops_publish for finding in findings)
    if as_json:
        document = {"publish_could_work": works, "findings": [asdict(finding) for finding in findings]}
        console.result(json.dumps(document, indent=2, ensure_ascii=False))
        return works
    for finding in findings:
        console.say(finding.subject, f"{finding.state:<8} {finding.text}", to=sys.stdout)
        for hint in finding.hint.splitlines():
            console.say("", f"{'':<8} {hint}", to=sys.stdout)
    console.say("doctor", "publish could work" if works else "publish could not work", to=sys.stdout)
    return works


def examine(folder: Path) -> list[Finding]:
    """Look at everything, at once."""
    settings, found = _settings(folder)
    terminal = Terminal()
    looks: list[tuple[str, Look]] = [
        ("python", examination.python),
        ("bentoml", lambda: examination.package("bentoml")),
        ("uv", lambda: examination.package("uv")),
        ("bentofile", lambda: examination.bentofile(folder)),
        ("git", examination.git),
        ("docker", lambda: examination.docker(settings)),
        ("podman", examination.podman),
    ]
    if settings:
        run = Run(Project(folder, settings), terminal)
        looks += [
            ("apt", lambda: examination.apt(settings.base_image)),
            ("disk", lambda: examination.space(settings.cache)),
            ("cache", lambda: examination.cache(run.layers.size, settings.cache_limit)),
            *([("registry", lambda: _local_registry(run))] if settings.registry == "local" else _remote(run)),
        ]
    patience = _PATIENCE_WITH_GOOGLE if settings and settings.registry == "google" else _PATIENCE
    with terminal.task("doctor"):
        return [*found, *_all(looks, patience)]


def _settings(folder: Path) -> tuple[Settings | None, list[Finding]]:
    """The settings, unless they are wrong, and what there is to say of them."""
    try:
        environment.export(folder)
        settings = load(folder)
    except SettingsError as error:
        mistakes = [Finding("settings", "problem", mistake, error.hint, True) for mistake in error.mistakes]
        return None, [*mistakes, Finding("registry", "problem", "not looked at: it depends on settings")]
    if settings.warnings:
        return settings, [Finding("settings", "problem", warning, "Correct it.") for warning in settings.warnings]
    return settings, [Finding("settings", "ok", f"REGISTRY={settings.registry}, BACKEND={settings.backend}")]


def _local_registry(run: Run) -> Finding:
    """The registry on this machine, which publish would start."""
    from bentoship.providers.distribution import installed
    from bentoship.providers.local import LocalRegistry

    settings = run.project.settings
    registry = LocalRegistry(settings.cache, settings.local_registry_port)
    if why := registry.obstacle():
        return Finding(
            "registry", "problem", why, "Set LOCAL_REGISTRY_PORT to a free port, or leave it unset.", stops_publish=True
        )
    if port := registry.running():
        return Finding("registry", "ok", f"the local one runs at localhost:{port}")
    if program := installed(settings.cache):
        return Finding("registry", "ok", f"the local one does not run; publish starts {program}")
    if examination.apt("").state == "ok" and sys.platform.startswith("linux"):
        return Finding("registry", "missing", "the local one's program", "publish gets it from Debian's packages.")
    hint = "Install it (apt install docker-registry, brew install docker-distribution), or set REGISTRY to another one."
    return Finding("registry", "missing", "the local one's program", hint, stops_publish=True)


def _remote(run: Run) -> list[tuple[str, Look]]:
    # Made before the looks ask for it at once, so that it finds the account once; what is wrong is theirs to tell.
    with suppress(BentoshipError):
        run.provider  # noqa: B018 - makes and keeps it
    google = [("google", lambda: _google(run))] if run.project.settings.registry == "google" else []
    return [*google, ("credentials", lambda: _credentials(run)), ("registry", lambda: _registry(run))]


def _google(run: Run) -> Finding:
    """What Google's APIs say of project, repository and account."""
    from bentoship.commands.cloud import outlook

    return Finding("google", "ok", outlook(run.provider))


def _credentials(run: Run) -> Finding:
    """Whose account publish would push as; never what proves it."""
    host = run.provider.repository("bentoship").host
    account = run.provider.credentials()
    if account is None:
        hint = f"Most registries want one: docker login {host}"
        return Finding("credentials", "missing", f"no account is kept for {host}", hint)
    return Finding("credentials", "ok", f"{account.account} at {host}")


def _registry(run: Run) -> Finding:
    """Whether the registry answers, and knows the account."""
    target = run.provider.repository("bentoship")
    try:
        run.registry(target, push=True).reach()
    except RegistryError as error:
        return Finding("registry", "problem", f"{error.doing}: {error.why}", error.hint, stops_publish=True)
    return Finding("registry", "ok", f"{target.host} answers")


def _all(looks: Sequence[tuple[str, Look]], patience: float) -> list[Finding]:
    """What all looks find, in their order; one that fails or takes too long has found a problem."""
    found: dict[int, list[Finding]] = {}

    def look(number: int) -> None:
        name, find = looks[number]
        try:
            result = find()
            found[number] = [result] if isinstance(result, Finding) else list(result)
        except Exception as error:
            why, _, hint = explain(error).partition("\n")
            stops = isinstance(error, BentoshipError) and name in ("google", "credentials", "registry")
            found[number] = [Finding(name, "problem", why, hint, stops)]

    # Ended with this process: whom nobody answers would keep it waiting.
    threads = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(len(looks))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = "Look again, or see whether it is reachable."
    return [
        finding
        for number, (name, _) in enumerate(looks)
        for finding in found.get(number, [Finding(name, "problem", f"no answer within {patience:g} s", late)])
    ]
