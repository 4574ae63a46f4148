"""What to generate: the spec, its cells and its calls."""
