"""The state of an unfinished training in one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.data import Data
from training.files import write as write_file
from training.settings import Settings
from verify.errors import InvalidInput

VERSION = 1
PLACES = ("device", "amp")
"""Settings that a run may be continued with other values of."""


@dataclass(frozen=True)
class Checkpoint:
    """`identity`: of the run (`fingerprint`); `best`: score and weights of the epoch to keep."""

    identity: str
    history: list[dict[str, Any]]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    best: tuple[float, dict[str, Any]] | None


def fingerprint(model: nn.Module, settings: Settings, data: Data) -> str:
    """What makes two runs the same: settings, data, and the names, shapes and values of the weights at the start."""
    chosen = {name: value for name, value in settings.as_dict().items() if name not in PLACES}
    found = hashlib.sha256(json.dumps([VERSION, chosen, data.digest], sort_keys=True).encode())
    for name, value in model.state_dict().items():
        found.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Raises `InvalidInput` when it cannot be written."""
    write_file(path, lambda temporary: torch.save(vars(checkpoint), temporary))


def read(path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint at `path`, None where there is none. Raises `InvalidInput` when it belongs to another run, or is
    none at all."""
    if not path.exists():
        return None
    try:
        found = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:80]
        raise InvalidInput(f"{path} is not a checkpoint of this program ({reason}); remove it") from error
    if found.identity != identity:
        raise InvalidInput(f"{path} belongs to a run with other settings, data or starting weights; choose another "
                           "folder, or remove it")
    return found
