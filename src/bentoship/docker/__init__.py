"""Working with an engine that speaks Docker's API: connecting, building, loading, pushing."""
