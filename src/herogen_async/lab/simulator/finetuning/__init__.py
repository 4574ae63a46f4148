"""Files and fine-tuning jobs of the simulated server, with the API's own shapes."""
