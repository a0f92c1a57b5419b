"""Linearity grafting: unstable neurons become linear functions."""
