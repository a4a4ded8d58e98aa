"""Google Artifact Registry, by Google's REST APIs; no gcloud is needed."""

from bentoship.providers.google.registry import GoogleRegistry

__all__ = ["GoogleRegistry"]
