"""Choosing the base of a Bento's image, and getting it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager

from bentoship.bases import DEBIAN, BaseSource, choose_base, reason_for_base
from bentoship.bento import Bento
from bentoship.bento.configuration import (
    Configuration,
    project_configuration,
    python_option,
    python_wish,
    wanted_base,
)
from bentoship.image.reference import ImageReference
from bentoship.project import Run, once


@once
def configuration(run: Run) -> Configuration:
    """Return the configuration of the project's Bento. Raises BentoError."""
    return project_configuration(run.project.build_context)


def base_source(run: Run, bento: Bento, step: str = "containerize") -> BaseSource:
    """Return the source of a Bento's base: as BASE_IMAGE or the bentofile say, else by the kind of this host.

    Args:
        run, bento: the run, and the Bento.
        step: the one that reports the progress.
    """
    from bentoship.bases.debian import DebianSource, is_offered, otherwise

    settings, python, reporter = run.project.settings, bento.python_version, run.reporter_of(step)
    option = python_option(configuration(run), python)
    chosen = choose_base(settings.base_image, bento.base_image, python, has_debian=is_offered(python))
    if chosen == DEBIAN:
        begin = functools.partial(debian_in_background, run, python)
        return DebianSource(settings.cache, python, run.layers, begin, reporter, option)
    from bentoship.bases.registry import RegistrySource

    image = ImageReference.parse(chosen)
    return RegistrySource(
        image,
        python,
        run.base_registry(image),
        settings.cache,
        run.layer_layout,
        reporter,
        otherwise(python, option),
        option,
    )


def look_up_base(run: Run, bento: Bento, step: str) -> str:
    """Check that the base of a Bento is available for each platform, without downloading anything large.

    Args:
        run, bento: the run, and the Bento.
        step: the one that reports the progress.

    Returns: which base it is, and why, in words.

    Raises: BaseImageError as containerize would.
    """
    source = base_source(run, bento, step)
    for platform in run.project.settings.platforms:
        source.outline(platform)
    return base_reason(run, bento)


def base_reason(run: Run, bento: Bento) -> str:
    """Return which base the image of a Bento gets, and why, in words; empty where BentoML chooses it."""
    from bentoship.bases.debian import title

    settings, python = run.project.settings, bento.python_version
    if settings.backend == "docker":
        return ""
    wish = python_wish(configuration(run), python)
    debian = title(python)
    chosen = choose_base(settings.base_image, bento.base_image, python, has_debian=bool(debian))
    return reason_for_base(settings.base_image, bento.base_image, wish, debian=debian, chosen=chosen)


def debian_in_background(run: Run, python: str, platform: str) -> Callable[[], None]:
    """Begin to make Debian's base in the background, unless that has begun, and return a function that waits for it."""
    from bentoship.bases.background import debian_in_background

    def begin() -> AbstractContextManager[Callable[[], None]]:
        run.use_cache()
        return debian_in_background(
            run.project.settings.cache,
            python=python,
            platform=platform,
            layers=run.layers,
            reporter=run.reporter_of("containerize"),
        )

    return run.background((python, platform), begin)


@once
def prepare(run: Run) -> None:
    """Begin to make the base in the background, if there is none yet and the Bento will most likely need it."""
    settings = run.project.settings
    if settings.backend != "direct" or any(settings.cache.glob("bases/debian-*")):
        return
    from bentoship.bases.debian import is_offered  # not when there is a base

    image, python = wanted_base(configuration(run))
    if choose_base(settings.base_image, image, python, has_debian=is_offered(python)) == DEBIAN:
        for platform in settings.platforms:
            debian_in_background(run, python, platform)
