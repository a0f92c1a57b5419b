"""Producers: training of networks that are worth verifying, and their evaluation."""
