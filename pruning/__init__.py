"""Pruning that makes a network easier to verify: masks, criteria, schedules, lossless removal and smaller networks."""
