"""How fast publishing is, side by side with BentoML and Docker: `python -m benchmarks.publish`."""
