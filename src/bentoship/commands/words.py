"""The words of a command line of `bentoship` that name folders."""

from collections.abc import Collection, Sequence
from pathlib import Path


def name_folders(words: Sequence[str], tasks: Collection[str], options: Collection[str], default: str) -> list[str]:
    """Return a command line in which the words that name folders and no task are values of --project.

    invoke has no positional arguments that may be left out or repeated.

    Args:
        words: the command line, without the program.
        tasks: the names of all tasks.
        options: the names of the options of all tasks that have a value.
        default: the task that is run when only folders are named.
    """
    folders: list[str] = []
    others: list[str] = []
    every = [word for word in words if word == "--all"]  # an option of tasks, and so behind one
    for before, word in zip(["", *words], words, strict=False):
        if word == "--all":
            continue
        is_task = word in tasks and before != "--all"
        is_value = before in (*(f"--{name}" for name in options), "--config", "-f") or word.startswith("-") or is_task
        # A path to nowhere is a folder's name misspelt, unless it may be an option's value.
        is_path = "/" in word and (before == "--all" or not before.startswith("-"))
        is_folder = bool(word) and (is_path or Path(word).is_dir())
        (folders if is_folder and not is_value else others).append(word)
    if (folders or every) and not set(tasks) & set(others):
        others.append(default)
    return [*others, *every, *(part for folder in folders for part in ("--project", folder))]
