"""A study small enough for a test: digits, a few neurons, one epoch."""

from __future__ import annotations

from pathlib import Path

from benchmarks.companions.networks import Setup


def small(folder: Path, **changes) -> Setup:
    return Setup(**{"data": "digits", "work": folder, "arch": "mlp-2x12", "eps": 0.05, "train": 440, "images": 20,
                    "bounded": 10, "complete": 2, "timeout": 2.0, "epochs": 1, "lr": 0.01, "certified_epochs": 2,
                    **changes})
