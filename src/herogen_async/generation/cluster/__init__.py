"""One home keeps a run, and workers ask its calls: what they say to each other, and what home decides."""
