"""The lines of a grafted model as a file: what was selected, and the slopes and intercepts that each neuron got.

`selection.npz` holds for every ReLU site three arrays of its shape: `mask/<site>` (bool), `slope/<site>` and
`intercept/<site>`.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn

from grafting.activation import GraftedReLU
from grafting.graft import check_selection
from grafting.sites import exchanged, relu_sites
from training.files import write
from verify.errors import InvalidInput

KINDS = ("mask", "slope", "intercept")


def save_lines(path: str | Path, model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Writes the lines of all sites, atomically."""
    arrays: dict[str, np.ndarray] = {}
    for name, site in relu_sites(model, input_shape).items():
        module = model.get_submodule(name) if site.own_module else None
        lined = isinstance(module, GraftedReLU)
        arrays[f"mask/{name}"] = module.selected.cpu().numpy() if lined else np.zeros(site.shape, dtype=bool)
        for kind in KINDS[1:]:
            values = getattr(module, kind).detach().cpu().numpy() if lined else np.zeros(site.shape, dtype=np.float32)
            arrays[f"{kind}/{name}"] = values
    write(path, lambda temporary: np.savez(temporary, **arrays))


def load_lines(path: str | Path, model: nn.Module, input_shape: tuple[int, ...], frozen: bool = False) -> nn.Module:
    """A copy of the (ungrafted) model with the lines of the file. Raises `InvalidInput` when they do not fit it."""
    try:
        with np.load(path) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise InvalidInput(f"{path} holds no selection ({' '.join(str(error).split())[:100]})") from error
    parts = {kind: {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(f"{kind}/")}
             for kind in KINDS}
    sites = relu_sites(model, input_shape)
    check_selection(parts["mask"], sites)
    if not all(parts[kind].keys() == sites.keys() for kind in KINDS):
        raise InvalidInput(f"{path} holds no slopes or no intercepts for some sites")
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    new = {name: GraftedReLU(mask, parts["slope"][name].to(like), parts["intercept"][name].to(like), frozen)
           for name, mask in parts["mask"].items() if bool(mask.any())}
    return exchanged(model, new, sites)
