"""Pruning criteria, one file each: they only score."""
