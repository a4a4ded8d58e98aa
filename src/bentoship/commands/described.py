"""What a project's images are called, for commands that need no more of its Bento."""

from __future__ import annotations

from bentoship import bento as bentos
from bentoship.bento import Bento
from bentoship.bento.finding import name_without_import
from bentoship.image.reference import ImageReference
from bentoship.project import Run


def repository(run: Run, step: str) -> ImageReference:
    """Return where the project's images are, after logging in there. The service is imported unless its files name it.

    Args:
        run: the run.
        step: the command that needs it.
    """
    run.login()
    project = run.project
    name = project.settings.image_name or name_without_import(project.build_context) or described(run, step).name
    return run.provider.repository(project.image_name(name))


def described(run: Run, step: str) -> Bento:
    """Return the Bento; unless it is up to date it is only previewed, for its name and version.

    Args: run: the run; step: the command that needs it.
    """
    if bento := bentos.up_to_date(run.project.build_context):
        return bento
    from bentoship.publishing.steps import preview  # takes as long to import as all else here

    run.reporter.say(step, "importing the service to find its name and version")
    with preview(run, step) as bento:
        return bento
