"""Hooks by which BentoML does a part of a build: it finds what a service asks of its image, or imports it alone.

And one by which it imports only what is new of a Bento that is built already.
"""

from __future__ import annotations

from typing import Any

import bentoml
from _bentoml_sdk import images  # type: ignore[import-untyped]  # it has no py.typed
from bentoml._internal.bento import build_config
from bentoml._internal.models import Model, ModelStore
from bentoml._internal.service import loader
from bentoml.exceptions import NotFound
from bentoml.images import Image


class Nothing:
    """The service in place of the user's."""


class ImportedError(BaseException):
    """The service is imported, and nothing else is to be done."""


def import_alone() -> None:
    """Make BentoML raise ImportedError in place of building a Bento, once it has imported the service."""
    load = loader.load

    def load_and_end(*args: Any, **options: Any) -> Any:
        load(*args, **options)
        raise ImportedError

    loader.load = load_and_end  # a hook


def import_new_models_alone() -> None:
    """Make BentoML leave a model of a Bento that it imports as it is in the store, if it is there.

    Earlier versions of BentoML fail at one (Bento.save in bentoml/_internal/bento/bento.py); later ones do just that.
    """
    save = Model.save

    def save_new(self: Model, model_store: ModelStore) -> Model:
        try:
            return model_store.get(self.tag)
        except NotFound:
            return save(self, model_store)

    Model.save = save_new  # type: ignore[method-assign,assignment]  # a hook


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
