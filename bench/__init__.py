"""Benchmarks: one command each, peers in the same run, CPU per message rather than rates (see README)."""
