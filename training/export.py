"""A trained module as a plain ONNX file that is known to compute the same, and what is written beside it.

A run folder holds `model.onnx`, the network that claims are about; `manifest.json`, where it comes from; and, for
networks of `training.models`, `weights.pt`, the module as it was trained (in the ONNX file batch normalisations are
folded).
"""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import platform
import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

import verify
from training.files import replacing, write_json
from training.files import write as write_file
from verify.errors import InvalidInput, VerifyError

OPSET, TOLERANCE, POINTS = 17, 1e-4, 32
NETWORK, MANIFEST, WEIGHTS = "model.onnx", "manifest.json", "weights.pt"


class ExportMismatch(VerifyError):
    """The exported file and the module disagree beyond rounding."""

    exit_code = 70


@dataclass(frozen=True)
class Exported:
    """The file, its sha256, and the largest difference between its outputs and the module's at all points compared."""

    path: Path
    sha256: str
    max_difference: float


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """`module` in evaluation mode for images (n, *input_shape); `sha256` and `manifest` of the file it comes from;
    `build`: the arguments of `training.models.build` that make one of its kind, where they are known."""

    module: nn.Module
    input_shape: tuple[int, ...]
    classes: int
    sha256: str | None = None
    manifest: Mapping[str, Any] | None = None
    build: Mapping[str, Any] | None = None


def export_onnx(model: nn.Module, input_shape: tuple[int, ...], path: str | Path, points: Tensor | None = None,
                metadata: Mapping[str, Any] | None = None) -> Exported:
    """Writes the module, as it is in evaluation mode, for one image (1, *input_shape): opset 17, "input" -> "output".

    The file is compared with the module on onnxruntime: at `points` (n, *input shape), at random points of [0, 1] and
    at random corners. It appears only when the largest difference is at most 1e-4 (times the largest output, where that
    is above 1); otherwise `ExportMismatch` is raised. `metadata` goes into the file as text.
    """
    twin = copy.deepcopy(model).cpu().eval()
    dtype = next((p.dtype for p in twin.parameters()), torch.float32)
    if dtype not in (torch.float32, torch.float64):
        raise InvalidInput(f"networks are exported in float32 or float64, this one is in {dtype}")
    path = Path(path)
    with replacing(path) as temporary:
        _write(twin, torch.zeros(1, *input_shape, dtype=dtype), temporary, metadata or {})
        difference = _difference(twin, temporary, _all_points(tuple(input_shape), points, dtype))
        sha256 = digest(temporary)
    return Exported(path, sha256, difference)


def _write(model: nn.Module, example: Tensor, path: Path, metadata: Mapping[str, Any]) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter that needs no further package is called deprecated; constants of a trace are meant.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(model, (example,), str(path), opset_version=OPSET, input_names=["input"],
                              output_names=["output"], dynamo=False)
        except torch.onnx.errors.OnnxExporterError as error:
            reason = " ".join(str(error).split())[:200]
            raise InvalidInput(f"the network cannot be written as ONNX: {reason}") from error
    if metadata:
        network = onnx.load(path)
        onnx.helper.set_model_props(network, {str(key): str(value) for key, value in metadata.items()})
        onnx.save(network, path)


def _all_points(shape: tuple[int, ...], points: Tensor | None, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    inside = torch.rand(POINTS, *shape, generator=generator)
    parts = [inside, torch.rand(POINTS, *shape, generator=generator).round()]
    if points is not None:
        if tuple(points.shape[1:]) != shape:
            raise InvalidInput(f"points have shape {list(points.shape[1:])}, the network takes {list(shape)}")
        parts.append(points.detach().cpu())
    return torch.cat([part.to(dtype) for part in parts])


def _difference(model: nn.Module, path: Path, points: Tensor) -> float:
    """Raises `ExportMismatch` when it is too large."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(points).numpy()
    found = np.concatenate([session.run(["output"], {"input": point[None].numpy()})[0] for point in points])
    if found.shape != expected.shape:
        raise ExportMismatch(f"the exported network has outputs {list(found.shape)}, the module {list(expected.shape)}")
    difference, scale = float(np.abs(found - expected).max()), float(np.abs(expected).max())
    if not difference <= TOLERANCE * max(1.0, scale):
        raise ExportMismatch(f"exported network and module differ by {difference:.3g} (outputs up to {scale:.3g}); "
                             "nothing was written")
    return difference


def digest(path: str | Path) -> str:
    """sha256 of a file."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error


def commit() -> str | None:
    """The git commit of this program, with `+changes` when files differ from it; None outside of a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    return f"{head}+changes" if head and git("status", "--porcelain", "--untracked-files=no") else head


def versions() -> dict[str, str]:
    """What computed the numbers."""
    return {"verify": verify.__version__, "python": platform.python_version(), "torch": torch.__version__,
            "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}


def provenance(exported: Exported, **what: Any) -> dict[str, Any]:
    """A manifest: the file and its hash, how far it is from the module, the program, and `what` (seed, settings, digest
    of the data, metrics, ...)."""
    return {"network": exported.path.name, "sha256": exported.sha256, "max_difference": exported.max_difference,
            "commit": commit(), "versions": versions(), **what}


def write_manifest(path: str | Path, content: Mapping[str, Any]) -> None:
    """`path`: the file, or its folder. Raises `InvalidInput` when it cannot be written."""
    write_json(_manifest(path), dict(content))


def read_manifest(path: str | Path) -> dict[str, Any]:
    """`path`: the file, or its folder. Raises `InvalidInput` for anything else than a manifest."""
    path = _manifest(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read the manifest {path}: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(content, dict) or "sha256" not in content:
        raise InvalidInput(f"{path} is not a manifest: it names no sha256")
    return content


def _manifest(path: str | Path) -> Path:
    path = Path(path)
    return path / MANIFEST if path.is_dir() else path


def save_weights(path: str | Path, model: nn.Module, build: Mapping[str, Any]) -> None:
    """The module's tensors and the arguments of `training.models.build` that make one of its kind."""
    content = {"build": dict(build), "state": model.state_dict()}
    write_file(path, lambda temporary: torch.save(content, temporary))


def load_model(source: str | Path | nn.Module, input_shape: tuple[int, ...] | None = None) -> LoadedModel:
    """A network to train further, prune or graft: a run folder, an ONNX file, or a module with its `input_shape`.

    A folder's network is the module as it was trained where `weights.pt` is there, else its `model.onnx`; the file must
    still be the one that the manifest names. Raises `InvalidInput`.
    """
    if isinstance(source, nn.Module):
        shape = input_shape or getattr(source, "input_shape", None)
        if shape is None:
            raise InvalidInput("a module needs its input_shape (c, h, w)")
        return LoadedModel(source.eval(), tuple(shape), _classes(source, tuple(shape)))
    path = Path(source)
    if path.is_dir():
        return _load_run(path)
    return _load_onnx(path)


def _load_run(folder: Path) -> LoadedModel:
    if not (folder / NETWORK).exists():
        raise InvalidInput(f"{folder} is not a finished run: there is no {NETWORK}")
    manifest, sha256 = read_manifest(folder), digest(folder / NETWORK)
    if manifest["sha256"] != sha256:
        raise InvalidInput(f"{folder / NETWORK} is not the file that its manifest names (sha256 {sha256[:12]}... "
                           f"instead of {str(manifest['sha256'])[:12]}...)")
    if not (folder / WEIGHTS).exists():
        return _load_onnx(folder / NETWORK, manifest)
    from training.models import build

    try:
        content = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        module = build(**content["build"])
        module.load_state_dict(content["state"])
    except (OSError, RuntimeError, TypeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InvalidInput(f"{folder / WEIGHTS} does not hold the weights of this run ({reason}); remove it to use "
                           f"{NETWORK}") from error
    shape = tuple(content["build"]["input_shape"])
    return LoadedModel(module.eval(), shape, _classes(module, shape), sha256, manifest, content["build"])


def _load_onnx(path: Path, manifest: Mapping[str, Any] | None = None) -> LoadedModel:
    from training.from_onnx import load_module

    module = load_module(path)
    shape = tuple(module.meta["input_shape"])
    return LoadedModel(module, shape, _classes(module, shape), digest(path), manifest)


def _classes(module: nn.Module, shape: tuple[int, ...]) -> int:
    like = next(module.parameters(), torch.zeros(()))
    modes = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            out = module.eval()(torch.zeros(1, *shape, dtype=like.dtype, device=like.device))
    except RuntimeError as error:
        raise InvalidInput(f"the network does not take images of shape {list(shape)}: "
                           f"{' '.join(str(error).split())}") from error
    finally:
        for part, mode in modes:
            part.training = mode
    if out.dim() != 2:
        raise InvalidInput(f"the network's output for one image has shape {list(out.shape)}; [1, classes] is needed")
    return int(out.shape[1])
