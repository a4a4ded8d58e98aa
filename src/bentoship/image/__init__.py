"""Images as values: descriptors, layers, configuration, manifest."""
