"""What the simulated server answers to prompts."""
