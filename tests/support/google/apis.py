"""All of Google's APIs that there are here."""

from tests.support.google import artifacts, operations, projects, services
from tests.support.google.rest import ApiHandler


class Handler(ApiHandler):
    """One connection to any of them."""

    # A path that ends with what is to be done (":enable") is one with another name, too.
    methods = tuple(
        sorted(
            (*artifacts.METHODS, *operations.METHODS, *services.METHODS, *projects.METHODS),
            key=lambda method: ":" not in method.path,
        )
    )
