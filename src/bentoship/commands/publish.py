"""The steps of publishing as tasks take them, and what is said at the end of all."""

from bentoship.project import Published, Run, step
from bentoship.publishing import steps
from bentoship.publishing.steps import auth, build, containerize, create_registry, enable_api, load, prepare, push, tag

__all__ = [
    "auth", "build", "containerize", "create_registry", "enable_api", "load", "prepare", "publish", "push", "tag",
]  # fmt: skip


@step
def publish(run: Run) -> Published:
    """All of it; then say how long that took, and how to run the image."""
    published = steps.publish(run)
    seconds = ", ".join(f"{name.replace('_', '-')} {spent:.1f}" for name, spent in run.seconds.items() if spent >= 0.05)
    run.reporter.say("publish", f"{sum(run.seconds.values()):.1f} s ({seconds})")
    run.reporter.say("publish", f"run it: docker run --rm -p 3000:3000 {published.reference}")
    return published
