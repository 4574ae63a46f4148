"""OpenAI's HTTP API at any server: two transports behind one seam, and what the headers say."""
