"""The Python packages of an image: their requirements, their locks, and the layers that hold them."""
