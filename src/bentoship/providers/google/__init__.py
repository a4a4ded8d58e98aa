"""Google Artifact Registry, through Google's REST APIs; gcloud is not needed."""

from bentoship.providers.google.registry import GoogleRegistry

__all__ = ["GoogleRegistry"]
