"""What is to be generated: the spec, the cells that it spans, the calls that it wants."""
