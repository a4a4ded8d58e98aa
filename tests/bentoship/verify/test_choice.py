"""Which way to start an image."""

from __future__ import annotations

import pytest

from bentoship.errors import NotVerifiedError
from bentoship.verify.choice import all_runners, usable_runners


class Blocked:
    """A way that is blocked."""

    name = "a wall"

    def obstacle(self) -> str | None:
        """Return why."""
        return "there is a wall"

    def run(self, image: object) -> None:
        """Not to be called."""
        raise AssertionError


def test_engines_come_first() -> None:
    """Without an engine, what needs no root comes before what does."""
    assert [runner.name for runner in all_runners()] == ["Docker", "podman", "bubblewrap", "a namespace", "a chroot"]


def test_all_obstacles_are_told() -> None:
    """An exit code of its own tells that nothing was found out."""
    with pytest.raises(NotVerifiedError, match="there is a wall; there is a wall") as caught:
        usable_runners([Blocked(), Blocked()])  # type: ignore[list-item]
    assert caught.value.exit_code == 3


def test_what_is_not_blocked_is_left() -> None:
    """In its order, since the first may still fail to start anything; what would have been better is told."""

    class Open(Blocked):
        def obstacle(self) -> None:
            """Return None."""

    first, second = Open(), Open()
    messages: list[str] = []
    assert usable_runners([Blocked(), first, second], messages.append) == [first, second]  # type: ignore[list-item, comparison-overlap]
    assert messages == ["there is a wall"]
