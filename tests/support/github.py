"""What GitHub Actions reads of the files that a step has written to."""

from __future__ import annotations


def outputs_of(text: str) -> dict[str, str]:
    """The outputs of a step, as the runner parses them (FileCommandManager.cs in actions/runner)."""
    found = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, heredoc, mark = line.partition("<<")
        assert heredoc, line
        assert name, line
        assert mark, line
        value = []
        for part in lines:
            if part == mark:
                break
            value.append(part)
        else:
            raise AssertionError(f"{name} has no end")
        found[name] = "\n".join(value)
    return found
