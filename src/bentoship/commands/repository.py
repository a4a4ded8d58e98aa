"""The repository of a project's image, and its Bento, for commands that publish nothing."""

from __future__ import annotations

from bentoship import bento as bentos
from bentoship.bento import Bento
from bentoship.image.reference import ImageReference
from bentoship.project import Run


def repository(run: Run, step: str) -> ImageReference:
    """Log in to the registry, and return the repository of the project's image.

    The service is imported only if the project's files do not name it.

    Args: run: the run; step: the command that needs it.
    """
    run.login()
    project = run.project
    return run.provider.repository(project.image_name(project.settings.image_name or _name(run, step)))


def _name(run: Run, step: str) -> str:
    from bentoship.bento.finding import name_without_import  # not needed where a setting names the image

    return name_without_import(run.project.build_context) or current_bento(run, step).name


def current_bento(run: Run, step: str) -> Bento:
    """Return the project's Bento; one that is not up to date is only previewed, for its name and version.

    Args: run: the run; step: the command that needs it.
    """
    if bento := bentos.up_to_date(run.project.build_context):
        return bento
    from bentoship.publishing.steps import preview  # takes as long to import as all else here

    run.reporter.say(step, "importing the service to find its name and version")
    with preview(run, step) as bento:
        return bento
