"""The output of each task: the only package that prints."""
