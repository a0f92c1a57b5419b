"""Measurements of the verifier from outside: one process per instance, one CSV row per process (see README.md)."""
