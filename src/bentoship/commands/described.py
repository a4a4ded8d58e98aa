"""What a project's images are called, for commands that need no more of its Bento."""

from __future__ import annotations

from bentoship import bento as bentos
from bentoship.bento import Bento
from bentoship.image.reference import ImageReference
from bentoship.project import Run
from bentoship.publishing.steps import preview


def repository(run: Run, step: str) -> ImageReference:
    """Return where the project's images are, after logging in there. The service is imported unless its name is known.

    Args:
        run: the run.
        step: the command that needs it.
    """
    run.reporter.say("auth", run.provider.login())
    name = run.project.settings.image_name
    return run.provider.repository(run.project.image_name("" if name else described(run, step).name))


def described(run: Run, step: str) -> Bento:
    """Return the Bento; unless it is up to date it is only previewed, for its name and version.

    Args: run: the run; step: the command that needs it.
    """
    if bento := bentos.up_to_date(run.project.build_context):
        return bento
    run.reporter.say(step, "importing the service to find its name and version")
    with preview(run, step) as bento:
        return bento
