"""An image as values: descriptors, layers, configuration, manifest."""
