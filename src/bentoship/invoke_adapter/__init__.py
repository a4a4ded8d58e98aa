"""The names that tasks.py imports, from modules whose byte-code is kept."""

import sys

from invoke.context import Context

# invoke turns byte-code off for tasks.py (`invoke --write-pyc`); compiling this package again costs each run 0.1 s.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from bentoship.invoke_adapter.running import (  # noqa: E402  # after what has its byte-code written
    check,
    do,
    init,
    main,
    prepare,
    show,
    task,
)

__all__ = ["Context", "check", "do", "init", "main", "prepare", "show", "task"]
