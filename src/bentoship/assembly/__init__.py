"""Assembling images from layers, without Docker: the recipe, the image, the plan."""
