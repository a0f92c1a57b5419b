"""The grafted model as a plain ONNX file that is known to be the same network, and to be as easy for the verifier.

Compared with the model in memory are, before the file appears in its place,

    outputs   of onnxruntime at clean images, random points, random corners and PGD points
    bounds    of the outputs over balls around images, by intervals and by CROWN, from the file as the verifier imports
              it and from the graph of the model in plain operators; they must not be looser than the model's own

Claims about the network are claims about the file, whose sha256 is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grafting.graft import selected
from grafting.plain import plain
from grafting.sites import evaluating
from training.export import TOLERANCE, ExportMismatch, export_onnx
from training.files import replacing
from training.losses.pgd import attack
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.graph import Graph
from verify.live import LiveNetwork
from verify.onnx_import import Network, load_network
from verify.onnx_import.compare import onnxruntime_outputs
from verify.onnx_import.simplify import simplify
from verify.relaxations import FASTLIN
from verify.sets import Interval

POINTS, BALLS, PGD_STEPS = 64, 4, 20
FULL_CROWN = 4000
"""Up to so many neurons the hidden layers' bounds are CROWN's, too; above, the intervals'."""


@dataclass(frozen=True)
class ExportedGraft:
    """The file and its sha256; how far it is from the model: `outputs` by kind of point, `bounds` by method (in units
    of the largest bound, where that is above 1); `lines` of `neurons` are grafted."""

    path: Path
    sha256: str
    outputs: Mapping[str, float]
    bounds: Mapping[str, float]
    lines: int
    neurons: int

    @property
    def max_difference(self) -> float:
        return max(self.outputs.values())

    def as_dict(self) -> dict[str, Any]:
        """For manifests."""
        return {"sha256": self.sha256, "outputs": dict(self.outputs), "bounds": dict(self.bounds),
                "lines": self.lines, "neurons": self.neurons}


def export_grafted(model: nn.Module, input_shape: tuple[int, ...], path: str | Path, x: Tensor, eps: float,
                   metadata: Mapping[str, Any] | None = None) -> ExportedGraft:
    """Writes the model, in eval mode, in plain operators (`grafting.plain`). x (n, *input_shape): clean images.

    Raises `ExportMismatch`, and leaves no file, when an output differs by more than 1e-4 (times the largest output
    where that is above 1), or a bound by more than 1e-4 times the largest one."""
    path, masks, simple = Path(path), selected(model, input_shape), plain(model, input_shape)
    neurons, lines = (sum(int(count(mask)) for mask in masks.values()) for count in (torch.numel, torch.count_nonzero))
    with replacing(path) as temporary:
        done = export_onnx(simple, input_shape, temporary, x[:POINTS], metadata)
        network = load_network(temporary)
        outputs = _output_differences(model, network, x[:POINTS], eps)
        graphs = [simplify(graph) for graph in (_graph(simple, input_shape), network.graph)]
        bounds = _bound_differences(*graphs, x[:BALLS], eps, "crown" if neurons <= FULL_CROWN else "ibp")
        _require_no_looser(_graph(model, input_shape), graphs[1], x[:BALLS], eps)
    return ExportedGraft(path, done.sha256, outputs, bounds, lines, neurons)


def _graph(model: nn.Module, input_shape: tuple[int, ...]) -> Graph:
    return LiveNetwork(model, input_shape).graph(detach=True, dtype=torch.float64).to("cpu")


def _output_differences(model: nn.Module, network: Network, x: Tensor, eps: float) -> dict[str, float]:
    """Largest differences between the model and onnxruntime, by kind of point."""
    like, generator = next(model.parameters()), torch.Generator().manual_seed(0)
    with evaluating(model), torch.no_grad():
        labels = model(x.to(like)).argmax(1)
    uniform = torch.rand(POINTS, *x.shape[1:], generator=generator)
    kinds = {"clean": x, "random": uniform, "corners": (torch.rand(uniform.shape, generator=generator) > 0.5).float(),
             "pgd": attack(model, x.to(like), labels, eps, steps=PGD_STEPS, size=0.1, random=False)}
    found = {}
    for kind, points in kinds.items():
        with evaluating(model), torch.no_grad():
            expected = model(points.to(like)).double().cpu()
        theirs = onnxruntime_outputs(network, points.cpu().reshape(-1, *network.input_shape)).flatten(1)
        found[kind] = float((theirs - expected).abs().max())
        if not found[kind] <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise ExportMismatch(f"exported network and model differ by {found[kind]:.3g} at {kind} points; nothing "
                                 "was written")
    return found


def _ball(graph: Graph, x: Tensor, eps: float) -> Interval:
    center = x.double().cpu().reshape(-1, *graph.input.shape)
    return Interval((center - eps).clamp(min=0), (center + eps).clamp(max=1))


def _ends(graph: Graph, ball: Interval) -> Tensor:
    """Lower ends of the outputs and of their negatives, by intervals: (n, 2 k)."""
    image = ibp(graph, ball)[graph.output]
    return torch.cat([image.lower, -image.upper], 1).flatten(1)


@torch.no_grad()
def _bound_differences(mine: Graph, theirs: Graph, x: Tensor, eps: float, intermediate: str) -> dict[str, float]:
    """Largest differences of the output bounds over balls, by method, relative to the largest bound (at least to 1).

    CROWN with Fast-Lin's lower lines: CROWN's own choice of them jumps where both areas are equal."""
    ball, shape = _ball(mine, x, eps), mine[mine.output].shape
    unit = torch.eye(math.prod(shape), dtype=torch.float64)
    rows = torch.cat([unit, -unit]).reshape(1, -1, *shape)
    found = {}
    for name, bounds in (("ibp", lambda graph: _ends(graph, ball)),
                         ("crown" if intermediate == "crown" else "crown-ibp",
                          lambda graph: crown(graph, ball, rows, FASTLIN, intermediate=intermediate)[0])):
        a, b = bounds(mine), bounds(theirs)
        found[name] = float((a - b).abs().max() / a.abs().max().clamp(min=1))
        if not found[name] <= TOLERANCE:
            raise ExportMismatch(f"bounds ({name}) of the exported network and of the model differ by "
                                 f"{found[name]:.3g} of the largest; nothing was written")
    return found


@torch.no_grad()
def _require_no_looser(mine: Graph, theirs: Graph, x: Tensor, eps: float) -> None:
    """Intervals from the file are at least as tight as those of the model with its grafted activations (tighter where
    lines went into the layers beside them)."""
    a, b = (_ends(graph, _ball(graph, x, eps)) for graph in (mine, theirs))
    looser = float((a - b).max() / a.abs().max().clamp(min=1))
    if not looser <= TOLERANCE:
        raise ExportMismatch(f"bounds (ibp) of the exported network are looser by {looser:.3g} of the largest than the "
                             "model's; nothing was written")
