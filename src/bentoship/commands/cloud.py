"""Lists of what Google Cloud has (services, projects, locations), as tables or JSON, and the state of its registry."""

from collections.abc import Sequence
from pathlib import Path

from bentoship.commands import terminal as console
from bentoship.providers import Provider
from bentoship.providers.google import GoogleRegistry
from bentoship.providers.google.account import Account
from bentoship.providers.google.apis import Apis
from bentoship.providers.google.lists import Lists
from bentoship.settings import environment, load
from bentoship.stores.http import Http
from bentoship.system.network import network_settings


def show(folder: Path, what: str, *, as_json: bool = False) -> None:
    """Print a list on stdout.

    Args:
        folder: the project's folder; its settings need not be complete yet.
        what: "services", "projects" or "locations".
        as_json: whether to print JSON instead of a table.

    Raises: BentoshipError.
    """
    environment.export(folder)
    # Not by way of the provider, which has to know its repository.
    settings, http = load(folder, complete=False).google, Http(network_settings())
    account = Account(http, settings.project)
    apis = Apis(settings.endpoint, settings.project, account, http, lambda text: console.say(what, text))
    lists = Lists(apis, settings.project)
    with console.Terminal().task(what):
        rows: list[dict[str, str]] = getattr(lists, what)()
    if as_json:
        console.result_as_json(rows)
    else:
        _print(rows)
    if what == "locations" and settings.location and settings.location not in {row["location"] for row in rows}:
        near = lists.nearest(settings.location)
        meant = f"; did you mean {near}?" if near else ""
        console.say("locations", f"unknown location GCP_CONTAINER_REGISTRY_LOCATION={settings.location}{meant}")


def outlook(registry: Provider) -> str:
    """Return what publish would find at Google; empty elsewhere. Raises CloudError for what it could not fix."""
    return registry.outlook() if isinstance(registry, GoogleRegistry) else ""


def _print(rows: Sequence[dict[str, str]]) -> None:
    if not rows:
        console.say("", "none")
        return
    heads = [key for key in rows[0] if any(row[key] for row in rows)]
    lines = [[key.upper() for key in heads], *([row[key] for key in heads] for row in rows)]
    for line in console.columns(lines):
        console.result(line)
