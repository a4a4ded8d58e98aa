"""A BentoML service that tells ten celestial bodies apart in pictures, and what trains its model."""
