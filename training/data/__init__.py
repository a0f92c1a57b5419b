"""Labelled images: reading the public formats, splitting, and what every later stage may rely on."""

from training.data.dataset import Data, eps_warning
from training.data.load import from_arrays, load

__all__ = ["Data", "eps_warning", "from_arrays", "load"]
