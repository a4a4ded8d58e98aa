"""A registry as a model registry: the versions of an image, what they have in common, and where they are promoted."""
