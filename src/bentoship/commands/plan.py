"""What publish would do, printed before anything is published."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bentoship.commands.report import document
from bentoship.commands.report import show as show_plan
from bentoship.commands.terminal import Terminal, result, result_as_json
from bentoship.project import Run, begin, once
from bentoship.publishing.planning import planned


def show(folder: Path, *, why: bool = False, as_json: bool = False) -> None:
    """Print what publish would do with a project, and do none of it.

    Args:
        folder: the project's.
        why: whether to print what makes the image differ from the one that was published last.
        as_json: whether to print it for programs.

    Raises: BentoshipError.
    """
    with closing(begin(folder, Terminal())) as run:
        plan = planned(run, why=why)
    if as_json:
        result_as_json(document(plan))
    else:
        show_plan(plan)


def saying(text: str) -> Callable[[Run], None]:
    """Return a function that prints what a task would do, in words."""
    return lambda run: result(text)


@once
def dry_run(run: Run) -> None:
    """Print what publish would do, in place of whatever part of it was asked for."""
    show_plan(planned(run, why=False))
