"""Command lines: which words of `bentoship` name folders, and the words that run a task in its own process."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bentoship.errors import BentoshipError, explain
from bentoship.system import process
from bentoship.system.text import enumerated, printable

_UNKNOWN = re.compile(r"No idea what (['\"].*['\"]) is!", re.DOTALL)
"""What invoke says of a word that is no task (ParseMachine.see_unknown in invoke/parser/parser.py)."""


_LIKE = 0.7
"""How much alike words are of which one may be meant by the other: production is less like locations."""


def name_folders(words: Sequence[str], tasks: Mapping[str, int], options: Collection[str], default: str) -> list[str]:
    """Return a command line in which the words that name folders and no task are values of --project.

    invoke has no positional arguments that may be left out or repeated.

    Args:
        words: the command line, without the program.
        tasks: how many words each task needs behind it, by its name: these name no folders.
        options: the names of all options that have a value.
        default: the task that is run when only folders are named.
    """
    folders: list[str] = []
    others: list[str] = []
    every: list[str] = []  # an option of tasks, and so behind one
    needed = 0
    for before, word in zip(["", *words], words, strict=False):
        if word == "--all":
            every.append(word)
            continue
        is_of_option = before in (*(f"--{name}" for name in options), "--config", "-f") or word.startswith("-")
        if needed and not is_of_option:
            needed -= 1
            others.append(word)
            continue
        is_task = word in tasks and before != "--all"
        is_value = is_of_option or is_task
        needed = tasks[word] if is_task and not is_of_option else needed
        # A path to nowhere is a folder's name misspelt, unless it may be an option's value.
        is_path = "/" in word and (before == "--all" or not before.startswith("-"))
        is_folder = bool(word) and (is_path or os.path.isdir(word))  # noqa: PTH112  # unlike Path's, for any text
        if is_folder and not is_value:
            folders.append(word)
            continue
        if word in tasks and set(tasks) & set(others):
            others += every  # of the task before, and not of this one, which may have an own option of that name
            every = []
        others.append(word)
    if (folders or every) and not set(tasks) & set(others):
        others.append(default)
    return [*others, *every, *(part for folder in folders for part in ("--project", folder))]


def of_options(options: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line for a task's options. Args: options: the values, by the function's names."""
    words: list[str] = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        values = value if isinstance(value, list) else [value]
        words += [option] if value is True else [f"{option}={one}" for one in values if one]
    return words


def check_either(options: Mapping[str, object]) -> None:
    """Check that at most one of some options is given. Raises BentoshipError. Args: options: their values, by name."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise BentoshipError("Read the command line", f"{enumerated(given)} exclude each other", "Leave one out.")


def give(settings: Mapping[str, str]) -> None:
    """Set settings that options stand for, in the environment, where all settings are read."""
    process.put(settings)


def not_understood(said: str, tasks: Collection[str], task: str = "", options: Collection[str] = ()) -> str:
    """Return what to say of a command line that invoke does not understand: of a word, that it names nothing.

    Args:
        said: what invoke says of it.
        tasks: the names of all tasks.
        task: the one that the word is behind; empty for none.
        options: those of the task, each with its hyphens.
    """
    import ast  # not needed for what is understood

    match = _UNKNOWN.fullmatch(said)
    word = str(ast.literal_eval(match[1])) if match else ""
    if not word or (word.startswith("-") and not task):
        return said
    hint = f"`bentoship --help {task}` shows its options." if task else "`bentoship --list` shows the tasks."
    if word.startswith("-"):
        hint = _meant([word], options, with_folders=False) or hint
        return f"Error: {BentoshipError('Read the command line', f'{task} has no option {word}', hint)}"
    if os.path.isfile(word):  # noqa: PTH113
        hint = "It is a file. Name its folder, or the file by an option: --bentofile, or -f of resolve."
    elif ":" in word:
        hint = "Name a service by --service module:Class, and a Bento that is built already by --bento name:version."
    elif meant := _meant([word], tasks):
        hint = meant
    return f"Error: {BentoshipError('Read the command line', f'{word} is neither a task nor a folder', hint)}"


def no_value(option: str) -> str:
    """Return what to say of an option, or a word that a task needs, whose value is empty."""
    hint = "Give it one. In a script, check that its variable is set."
    return f"Error: {BentoshipError('Read the command line', f'{option} has no value', hint)}"


def no_folders(names: Sequence[str]) -> BentoshipError:
    """Return the error for folders that do not exist, with those that may be meant."""
    return BentoshipError("Open the project", f"there is no folder {', '.join(map(repr, names))}", _meant(names))


def _meant(words: Sequence[str], known: Collection[str] = (), *, with_folders: bool = True) -> str:
    """Return a sentence on which known words or folders are meant by misspelt ones; "" when one is like none."""
    import difflib  # not needed for what is understood

    found = []
    for word in words:
        every = [*known, *(_folders_beside(word) if with_folders else ())]
        found.append(next(iter(difflib.get_close_matches(word, every, 1, _LIKE)), ""))
    return f"Did you mean {', '.join(found)}?" if all(found) else ""


def _folders_beside(word: str) -> list[str]:
    """Return the folders that are where a word names one, each as it would be written in its place."""
    place = os.path.dirname(word.rstrip("/"))  # noqa: PTH120  # as it is written, with or without ./
    with suppress(OSError, ValueError), os.scandir(place or ".") as entries:
        return [os.path.join(place, entry.name) for entry in entries if entry.is_dir()]  # noqa: PTH118
    return []


def of_error(error: Exception) -> str:
    """Return what a task that failed prints last: with BENTOSHIP_DEBUG=1, where it failed."""
    if process.debugging():
        import traceback

        return printable("".join(traceback.format_exception(error)))
    return f"Error: {printable(explain(error))}"
