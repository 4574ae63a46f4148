"""The records of a spec's source by number, in an index on disk, and so the cells of any spec."""
