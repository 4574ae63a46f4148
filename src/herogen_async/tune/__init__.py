"""From a data set to a tuned model, its answers, and how they compare."""
