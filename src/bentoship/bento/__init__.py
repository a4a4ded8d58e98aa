"""Building a Bento from bentofile.yaml into the store, unless the one there is up to date.

The process that imports the user's service imports this, too, and needs none of the functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bentoship.bento.values import Bento, BuildContext, Env, Model
from bentoship.packages.requirements import LOCK_PLATFORM

if TYPE_CHECKING:
    from bentoship.bento.building import build, preview, rehearse, up_to_date

__all__ = ["LOCK_PLATFORM", "Bento", "BuildContext", "Env", "Model", "build", "preview", "rehearse", "up_to_date"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from bentoship.bento import building

        return getattr(building, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
