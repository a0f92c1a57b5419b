"""Stability-based pruning: masks, criteria, schedules, and networks that are really smaller."""
