"""From a plan to a run folder: limits, retries, endpoints, the journal, the engine, the session."""
