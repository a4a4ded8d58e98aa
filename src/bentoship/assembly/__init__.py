"""Images that are assembled from layers, without Docker: the recipe, the image, the plan."""
