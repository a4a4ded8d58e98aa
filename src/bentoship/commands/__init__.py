"""What each task prints: the only place that speaks to a person."""
