"""Writing the catalog, a page of all versions of an image."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from bentoship.commands.catalog_page import Catalog, page
from bentoship.commands.repository import repository
from bentoship.commands.versions import read_versions
from bentoship.errors import BentoshipError, reason
from bentoship.project import Run
from bentoship.system.files import write_whole
from bentoship.system.git import remote
from bentoship.system.text import counted

_DEFAULT = "catalog.html"
_OURS = b'<meta name="generator" content="bentoship">'

_FORGES = {"github.com": "commit", "gitlab.com": "-/commit", "codeberg.org": "commit", "bitbucket.org": "commits"}
"""The path of a commit's page on each, below that of the repository."""

_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://)?(?:[^@/]*@)?(?P<host>[a-z0-9.-]+)(?::\d+)?[:/]+(?P<path>[\w.-]+(?:/[\w.-]+)+)/?",
    re.IGNORECASE | re.ASCII,
)
"""A remote as Git takes it: https://HOST/PATH.git, ssh://git@HOST:PORT/PATH.git, git@HOST:PATH.git."""


def catalog(run: Run, output: str) -> None:
    """Write a page of all versions of the project's image.

    Args:
        run: the run.
        output: the file; "-" for stdout; empty for catalog.html in the project's folder.

    Raises: BentoshipError.
    """
    file = _file(run.project.folder, output)
    image = repository(run, "catalog")
    with run.reporter.task("catalog", f"reading the versions of {image}"):
        versions = read_versions(run, image)
    lower = run.project.settings.metrics_lower
    address = commit_pages(remote(run.project.folder))
    content = page(Catalog(image.repository, versions, datetime.now(UTC), commits=address, lower=lower))
    if file is None:
        print(content, end="", flush=True)
        return
    try:
        _write(file, content.encode())
    except OSError as error:
        raise BentoshipError(f"Write {file}", reason(error), "Name another file by --output.") from error
    run.reporter.say("catalog", f"{counted(len(versions), 'version')} of {image} in {file}")


def _file(folder: Path, output: str) -> Path | None:
    """Return the file to write; None for stdout. Raises BentoshipError when the default file is not a catalog."""
    if output == "-":
        return None
    if output:
        return Path(output).absolute()
    file = folder / _DEFAULT
    try:
        is_foreign = file.exists() and not (file.is_file() and _is_catalog(file))
    except OSError:
        is_foreign = True
    if is_foreign:
        raise BentoshipError(f"Write {file}", "it exists, and is not a catalog", "Name another file by --output.")
    return file


def _is_catalog(file: Path) -> bool:
    """Return whether a file is a catalog that was written before. Raises OSError."""
    with file.open("rb") as stream:
        return _OURS in stream.read(2000)


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all; anything else, such as a pipe, is written to as it is. Raises OSError."""
    if file.exists() and not file.is_file():
        file.write_bytes(content)
        return
    file = file.resolve()
    write_whole(file, content)
    file.chmod(0o644)  # a server may have to read it


def commit_pages(address: str) -> str:
    """Return the URL of a commit's page, without the commit; empty for a remote on no known forge.

    Args: address: the remote; users and passwords in it are left out.
    """
    found = _REMOTE.fullmatch(address)
    host = found["host"].lower() if found else ""
    place = _FORGES.get(host) or ("-/commit" if host.startswith("gitlab.") else "")
    return f"https://{host}/{found['path'].removesuffix('.git')}/{place}/" if found and place else ""
