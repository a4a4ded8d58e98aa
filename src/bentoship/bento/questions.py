"""What takes passwords to lock packages: the process that imports the service asks the publisher's to do it.

So no password of a package index is in the memory or in the environment of the process that runs the user's code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bentoship.bento.configuration import package_indexes, read_configuration
from bentoship.bento.packing import NEVER_PACKED, NEVER_WALKED, spec_of
from bentoship.bento.values import BuildContext, Env
from bentoship.bento.walking import walk
from bentoship.errors import BentoError, PackagesError
from bentoship.packages.building import Builder
from bentoship.packages.requirements import INDEXES, RequirementsError, address_lines, text_of
from bentoship.system.process import Completed, put
from bentoship.system.urls import with_variables


def answer(question: str, project: Path, env: Mapping[str, str]) -> str:
    """Return the answer to a line that the process has written; empty for what is no question.

    Args:
        question: the line.
        project: the folder whose requirements they are.
        env: variables to set for uv.
    """
    from bentoship.packages.requirements_file import flattened, with_constraints

    try:
        asked, *arguments = json.loads(question)
        if asked == "flattened":
            right: object = _with_variables(flattened(Path(arguments[0])))
        elif asked == "with_constraints":
            right = [*map(_with_variables, with_constraints(arguments[0], Path(arguments[1])))]
        elif asked == "with_wheels":
            requirements, order, into = arguments
            replaced, sources = with_wheels(requirements, Builder.from_json(order), Path(into))
            right = [_with_variables(replaced), [*map(str, sources)]]
        elif asked == "indexes":
            context = BuildContext.from_json(arguments[0])
            right = _with_variables(package_indexes(context, read_configuration(context), map(Path, arguments[1])))
        elif asked == "exported":
            requirements, files = exported(project)
            right = [_with_variables(requirements), [*map(str, files)]]
        elif asked.startswith("refuse"):
            _search(asked, *arguments)
            right = None
        else:
            command, folder = arguments
            done = call_uv(command, Path(folder), env)
            right = [done.code, done.stdout, done.stderr]
    except (RequirementsError, FileNotFoundError) as error:
        return json.dumps({"wrong": str(error).replace(f"{project}/", "")})
    except BentoError as error:
        return json.dumps({"refused": [error.doing, error.why, error.hint]})
    except PackagesError as error:
        return json.dumps({"failed": [error.doing, error.why, error.hint]})
    except (ValueError, TypeError):  # something that Python prints while it starts
        return ""
    return json.dumps({"right": right})


def _search(asked: str, context: Mapping[str, Any], *what: Any) -> None:
    """Find secrets, by rules that only the publisher's process has. Raises BentoError when there is one."""
    from bentoship.bento.secrets import Scanner

    scanner = Scanner(BuildContext.from_json(context))
    if asked == "refuse_secrets":
        bento, envs, named = what
        scanner.refuse(Path(bento), [Env(**env) for env in envs], named)
    else:
        scanner.refuse_files({name: Path(file) for name, file in what[0].items()})


def with_wheels(text: str, builder: Builder, into: Path) -> tuple[str, list[Path]]:
    """Return requirements with a wheel in place of each source, and the files and folders that decide what comes.

    Wheels are built from these, or found in them ("FOLDER/*", as of `bento.inputs.state_of`).

    Args:
        text: requirements, a line each; their paths start where the builder does.
        builder: builds the wheels.
        into: the folder that receives them.

    Raises: PackagesError when one cannot be built, or is not there.
    """
    from bentoship.packages.folders import named_in
    from bentoship.packages.sources import Sources

    sources = Sources(builder.start, _files_of, into)
    replaced = sources.with_wheels(text, builder)
    found_in = {folder / "*" for folder in named_in(builder.options, builder.start)}
    return replaced, sorted(sources.read | found_in)


def exported(project: Path) -> tuple[str, list[Path]]:
    """Return what a project's uv.lock has, as requirements, and the files that decide on them.

    The group dev is left out, as bentoship itself may be there.

    Args:
        project: the project's folder, whose uv.lock may be in a parent: that of its workspace.

    Raises: RequirementsError.
    """
    what = ["--frozen", "--no-header", "--no-annotate", "--no-hashes", "--no-emit-project", "--no-dev"]
    done = call_uv(["uv", "export", *what], project, {})
    if done.code:
        raise RequirementsError(f"uv.lock: {done.last_lines.removeprefix('error: ')}")
    lock = next((folder / "uv.lock" for folder in (project, *project.parents) if (folder / "uv.lock").is_file()), None)
    return done.stdout, [project / "pyproject.toml", *([lock] if lock else [])]


def _files_of(folder: Path) -> list[str]:
    never = spec_of([*NEVER_PACKED, ".env*"])
    return [name for name in walk(folder, NEVER_WALKED).names if not never.match_file(name)]


def call_uv(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Completed:
    """Run uv with what counts of the user's settings of it, and return what it did.

    Args:
        command: its command line, as BentoML has it; its first word stands for uv.
        folder: where it runs.
        env: variables to set.
    """
    from bentoship.packages.folders import refreshing
    from bentoship.packages.indexes import naming_indexes
    from bentoship.packages.uv_settings import calling_uv, local_folders
    from bentoship.packages.uv_waiting import run_uv

    files = [folder / word for word in command if word.endswith((".in", ".txt")) and not word.startswith("-")]
    text = "".join(map(text_of, files))
    again = refreshing(local_folders(address_lines(text), folder)) if "compile" in command else []
    indexes = next((known for file in files if (known := text_of(file.with_name(INDEXES)))), "")
    with calling_uv(folder, text, indexes) as own, naming_indexes(indexes, text, command) as named:
        return run_uv([*command[1:], *named, *again], env={**own, **env}, cwd=folder)


def _with_variables(requirements: str) -> str:
    text, values = with_variables(requirements)
    put(values)  # for uv, which gets those that requirements refer to
    return text
