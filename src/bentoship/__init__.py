"""Publish a BentoML service as an image in a container registry."""
