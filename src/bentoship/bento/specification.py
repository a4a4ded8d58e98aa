"""Hooks by which BentoML does a part of a build alone: it finds what a service asks of its image."""

from typing import Any

import bentoml
from _bentoml_sdk import images  # type: ignore[import-untyped]  # it has no py.typed
from bentoml._internal.bento import build_config
from bentoml._internal.service import loader
from bentoml.images import Image


class Nothing:
    """The service in place of the user's."""


def build_image_alone(*, adds_bentoml: bool) -> None:
    """Make BentoML build Bentos of services that do nothing, but have the images of the user's.

    A service that cannot be imported may have made its image before it failed: then the last one counts.

    Args:
        adds_bentoml: whether its own version is required as well, as it is in each Bento.
    """
    made: list[Image] = []
    load, begin = loader.load, Image.__attrs_post_init__

    def begin_noted(self: Image) -> None:
        made.append(self)
        begin(self)

    def load_in_part(*args: Any, **options: Any) -> Any:
        try:
            image = getattr(load(*args, **options), "image", None)
        except BaseException:  # whatever a module raises that gets stand-ins, SystemExit too
            image = made[-1] if made else None
        service = bentoml.service(Nothing, image=image)
        object.__setattr__(service, "_import_str", "nothing:Nothing")  # as BentoML's own `load` does
        return service

    Image.__attrs_post_init__ = begin_noted  # a hook
    loader.load = load_in_part  # a hook
    if not adds_bentoml:
        for module in (images, build_config):
            setattr(module, "get_bentoml_requirement", lambda: None)  # noqa: B010  # a hook
