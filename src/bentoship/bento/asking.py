"""What the process that imports a service asks the publisher's to do, which answers as `bento.questions` says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bentoship.bento.values import BuildContext, Env
from bentoship.errors import BentoError, PackagesError
from bentoship.packages.requirements import RequirementsError
from bentoship.system.process import Completed


class Asking:
    """The asking side, which takes stdin and stdout for itself: the user's code can use neither from then on."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(0), encoding="utf-8")
        self._questions = os.fdopen(os.dup(1), "w", encoding="utf-8")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)

    def flattened(self, path: Path) -> str:
        """Return what `packages.requirements_file.flattened` does. Raises RequirementsError."""
        return str(self._ask("flattened", str(path.absolute())))

    def with_constraints(self, text: str, folder: Path) -> tuple[str, str]:
        """Return what `packages.requirements_file.with_constraints` does. Raises RequirementsError."""
        plain, limits = self._ask("with_constraints", text, str(folder))
        return plain, limits

    def with_wheels(self, text: str, builder: Mapping[str, Any], into: Path) -> tuple[str, list[Path]]:
        """Return what `bento.questions.with_wheels` does for `Builder.from_json(builder)`. Raises PackagesError."""
        replaced, sources = self._ask("with_wheels", text, builder, str(into))
        return replaced, [*map(Path, sources)]

    def indexes(self, context: BuildContext, named: Iterable[Path]) -> str:
        """Return what `configuration.package_indexes` does. Raises PackagesError."""
        return str(self._ask("indexes", asdict(context), [*map(str, named)]))

    def exported(self) -> tuple[str, list[Path]]:
        """Return what `bento.questions.exported` does. Raises RequirementsError."""
        text, files = self._ask("exported")
        return text, [*map(Path, files)]

    def call_uv(self, command: Sequence[str], folder: Path) -> Completed:
        """Have uv run a command, and return what it did.

        Args:
            command: its command line.
            folder: where it runs.
        """
        done = Completed(*self._ask("call_uv", list(command), str(folder)))
        sys.stderr.write(done.stderr)
        return done

    def refuse_secrets(
        self, context: BuildContext, bento: Path, envs: Iterable[Env], named: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Have `Scanner(context).refuse` search a Bento. Raises BentoError."""
        self._ask("refuse_secrets", asdict(context), str(bento), [asdict(env) for env in envs], dict(named))

    def refuse_secret_files(self, context: BuildContext, files: Mapping[str, Path]) -> None:
        """Have `Scanner(context).refuse_files` search files. Raises BentoError."""
        self._ask("refuse_secret_files", asdict(context), {name: str(file) for name, file in files.items()})

    def _ask(self, *question: object) -> Any:
        self._questions.write(f"{json.dumps(question, default=str)}\n")
        self._questions.flush()
        answer = json.loads(self._answers.readline())
        if "wrong" in answer:
            raise RequirementsError(answer["wrong"])
        if "refused" in answer:
            raise BentoError(*answer["refused"])
        if "failed" in answer:
            raise PackagesError(*answer["failed"])
        return answer["right"]


class UvCalls:
    """What BentoML's modules that lock packages use of subprocess, to call uv and nothing else."""

    def __init__(self, call: Callable[[Sequence[str], Path], Completed]) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def check_call(self, command: Sequence[str], *, cwd: Path, **_: Any) -> int:
        """Run uv as `subprocess.check_call` does."""
        self.check_output(command, cwd=cwd)
        return 0

    def check_output(self, command: Sequence[str], *, cwd: Path, **_: Any) -> str:
        """Run uv as `subprocess.check_output` does."""
        done = self._call(command, cwd)
        if done.code:
            raise subprocess.CalledProcessError(done.code, command, done.stdout, done.stderr)
        return done.stdout
