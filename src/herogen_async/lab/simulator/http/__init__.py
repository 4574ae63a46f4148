"""The simulated server over HTTP: connections, routes, exchanges."""
