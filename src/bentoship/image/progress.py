"""What is reported while the parts of an image are copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bentoship.image.descriptor import Descriptor


class Progress(Protocol):
    """A receiver of a copy's progress, called from several threads at once."""

    def begin(self, missing: Sequence[Descriptor]) -> None:
        """Announce what will be sent, once that is known."""

    def advance(self, descriptor: Descriptor, count: int) -> None:
        """Report the number of bytes sent of a part; negative when they have to be sent again."""


class SilentProgress:
    """Progress that is not reported."""

    def begin(self, missing: Sequence[Descriptor]) -> None: ...

    def advance(self, descriptor: Descriptor, count: int) -> None: ...
