"""The steps of publishing as the tasks run them, with the lines to copy that they print at the end."""

import shlex

from bentoship.bento import Bento
from bentoship.commands.terminal import result
from bentoship.image.reference import ImageReference
from bentoship.project import Published, Run, once
from bentoship.publishing import steps
from bentoship.publishing.base import prepare
from bentoship.publishing.steps import auth, build, check, containerize, create_registry, enable_api, load, tag

__all__ = [
    "auth", "build", "check", "containerize", "create_registry", "enable_api", "load", "prepare", "publish", "push",
    "push_models", "tag",
]  # fmt: skip


@once
def push(run: Run) -> Published:
    """Push the image; then print how long everything took, and the reference."""
    published = steps.push(run)
    seconds = ", ".join(f"{name} {spent:.1f}" for name, spent in run.seconds.items() if spent >= 0.05)
    run.reporter.say("total", f"{sum(run.seconds.values()):.1f} s" + (f" ({seconds})" if seconds else ""))
    result(str(published.reference))
    if run.project.settings.summary_file or run.project.settings.output_file:
        from bentoship.commands import summary  # only in CI

        summary.write(run, published, build(run), run_line(published.reference, build(run)))
    return published


@once
def publish(run: Run) -> Published:
    """Run every step; then print how to run the image."""
    steps.publish(run)
    published = push(run)
    run.reporter.say("publish", f"run it: {run_line(published.reference, build(run))}")
    return published


@once
def push_models(run: Run) -> None:
    """Push the image, then its models by themselves."""
    from bentoship.publishing import models  # few need it

    push(run)
    models.push_models(run)


@once
def check_models(run: Run) -> None:
    """Check that there is something to publish, whose models can be pushed by themselves."""
    from bentoship.publishing import models

    check(run)
    models.check_models(run)


def run_line(reference: ImageReference, bento: Bento) -> str:
    """Return the command that runs an image; it takes the variables that the image lacks from the shell."""
    given = "".join(f"-e {shlex.quote(name)} " for name in bento.wanted_variables)
    return f"docker run --rm -p 3000:3000 {given}{reference}"
