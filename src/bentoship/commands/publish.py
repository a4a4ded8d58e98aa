"""The steps of publishing as the tasks run them, and their last lines, which are those to copy."""

from bentoship.commands.terminal import result
from bentoship.project import Published, Run, once
from bentoship.publishing import steps
from bentoship.publishing.steps import auth, build, check, containerize, create_registry, enable_api, load, prepare, tag

__all__ = [
    "auth", "build", "check", "containerize", "create_registry", "enable_api", "load", "prepare", "publish", "push",
    "tag",
]  # fmt: skip


@once
def push(run: Run) -> Published:
    """Push the image; then print how long everything took, and the reference."""
    published = steps.push(run)
    seconds = ", ".join(f"{name} {spent:.1f}" for name, spent in run.seconds.items() if spent >= 0.05)
    run.reporter.say("total", f"{sum(run.seconds.values()):.1f} s" + (f" ({seconds})" if seconds else ""))
    result(str(published.reference))
    return published


@once
def publish(run: Run) -> Published:
    """Run every step; then print how to run the image."""
    steps.publish(run)
    published = push(run)
    run.reporter.say("publish", f"run it: docker run --rm -p 3000:3000 {published.reference}")
    return published
