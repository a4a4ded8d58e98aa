"""Whether a service can be imported without the files that are never packed, where its import reads them here."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentoship.bento.child_process import import_in_child
from bentoship.bento.configuration import read_configuration
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError
from bentoship.packages.environment import Environment
from bentoship.system.files import temporary_folder

_ABSENT = re.compile(r"^FileNotFoundError: .*?: (['\"])(?P<path>.+)\1 \((?P<place>.+)\)$")
"""What a failed import says of a file that is not there, and where in the user's files."""


def check_packed_import(context: BuildContext, description: Mapping[str, Any], environment: Environment | None) -> None:
    """Import a service once more, from a copy of what its Bento packs, if it has read what may hold credentials.

    Only that shows whether it can do without, as it can where python-dotenv looks for a `.env`.

    Args:
        context: what the Bento is built from.
        description: of the Bento.
        environment: as of `import_in_child`.

    Raises: BentoError when such a file is missing. What else fails may be meant to: a variable that a `.env` sets here
    comes from elsewhere in a container.
    """
    if not description.get("credentials"):
        return
    configuration = read_configuration(context)
    with temporary_folder(context.scratch, "packed-") as folder:
        source = folder / "src"
        shutil.copytree(Path(description["path"], "src"), source, symlinks=True)
        try:
            import_in_child(replace(context, folder=source, bentofile=configuration.file), environment=environment)
        except BentoError as error:
            found = _ABSENT.match(error.why)
            if found and (name := _meant(found["path"], source.resolve(), description["credentials"])):
                why = f"the service needs {name} when it is imported ({found['place']}), which is never packed"
                hint = (
                    f"Have it read variables in place of the file, and name these in envs of {configuration.place}: "
                    "those in .env reach it here, and those of `docker run -e NAME` in a container."
                )
                raise BentoError("Pack the project's files", why, hint) from error


def _meant(path: str, source: Path, names: Sequence[str]) -> str:
    """Return which of some files a path means; "" for none. Args: source: the folder with what is packed."""
    place = os.path.relpath(source / path, source)
    return next((name for name in names if place in (name, name.removeprefix("src/"))), "")
