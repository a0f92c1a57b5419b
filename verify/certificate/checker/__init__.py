"""The checker of proofs: a small program of its own, that imports the standard library and numpy and nothing else."""
