"""Where the cells of a spec come from."""
