"""From a BentoML service to an image in a container registry.

`publish` and `plan` take a project's folder, print nothing, and return what they made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bentoship.publishing import BentoshipError, Settings, plan, publish

__all__ = ["BentoshipError", "Settings", "__version__", "plan", "publish"]

__version__: str


def __getattr__(name: str) -> Any:
    # Imported when they are first asked for: listing the tasks needs none of them.
    if name == "__version__":
        from importlib.metadata import version

        return version("bentoship")
    if name in __all__:
        from bentoship import publishing

        return getattr(publishing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
