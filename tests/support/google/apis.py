"""All of Google's APIs that there are here."""

from tests.support.google import artifacts, operations, projects, services

SERVICES = (*artifacts.SERVICES, *operations.SERVICES, *services.SERVICES, *projects.SERVICES)
