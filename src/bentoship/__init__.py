"""From a BentoML service to an image in a container registry."""
