"""Measuring and trying out: a simulated server, benchmarks, the doctor."""
