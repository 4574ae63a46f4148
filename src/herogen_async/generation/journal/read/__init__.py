"""The reading side of a journal: its lines, and what they come to."""
