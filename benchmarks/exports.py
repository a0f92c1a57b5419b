"""Is what the companions export the network that they have in memory? Every architecture, every method, one row each.

    python -m benchmarks.exports [--archs cnn-b,resnet-2b] [--methods dense,grafted] [--out rows.csv]

Networks are freshly initialised (equality does not depend on training), batch normalisations have seen one batch. Per
row: the largest difference of the outputs of onnxruntime and module at clean, random, corner and PGD points; of the
bounds over balls, from the file as the verifier imports it and from the module; and the verdict of `verify run` on one
robustness property of the file (any verdict will do, an error will not). Exit code 1 when something differs or fails.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from grafting.export import export_grafted
from grafting.graft import graft
from grafting.sites import relu_sites
from pruning.compact import compact
from pruning.criteria import Context, criterion
from pruning.layers import Scope
from pruning.mask import Mask, tighten
from training.models import ARCHITECTURES, build
from verify import robustness, verify
from verify.errors import VerifyError

SHAPES = MappingProxyType({"cnn-tiny": (1, 28, 28), "conv-small": (1, 28, 28), "conv-med": (1, 28, 28)})
"""Where an architecture is usually used on smaller images than (3, 32, 32)."""
FAMILIES = ("mlp-3x100",)
EPS, TIMEOUT, IMAGES = 1e-3, 10.0, 32


def _pruned(model: nn.Module, shape: tuple[int, ...], x: torch.Tensor, structured: bool) -> nn.Module:
    """Half of the weights, or of the channels, by magnitude; channels are cut out."""
    mask = Mask.ones(model, Scope("all"), structured)
    labels = torch.zeros(len(x), dtype=torch.long)
    context = Context(mask, x, labels, x, labels, EPS, 0.5)
    scores = criterion("magnitude", "channel" if structured else "weight").score(model, context)
    tighten(mask, scores, 0.5).apply(model)
    return compact(model, shape) if structured else model


def _grafted(model: nn.Module, shape: tuple[int, ...], x: torch.Tensor) -> nn.Module:
    """Half of the neurons of every layer, at random; the last ReLU layer whole."""
    generator, sites = torch.Generator().manual_seed(0), relu_sites(model, shape)
    chosen = {name: torch.rand(site.shape, generator=generator) < 0.5 for name, site in sites.items()}
    last = list(sites)[-1]
    chosen[last] = torch.ones(sites[last].shape, dtype=torch.bool)
    return graft(model, shape, chosen, calibration=x)


METHODS: MappingProxyType[str, Callable[..., nn.Module]] = MappingProxyType({
    "dense": lambda model, shape, x: model,
    "pruned weights": lambda model, shape, x: _pruned(model, shape, x, False),
    "pruned channels": lambda model, shape, x: _pruned(model, shape, x, True),
    "grafted": _grafted,
})


def measure(arch: str, method: str) -> dict[str, Any]:
    """One row."""
    shape = SHAPES.get(arch, (3, 32, 32))
    x = torch.rand(IMAGES, *shape, generator=torch.Generator().manual_seed(1))
    model = build(arch, shape, 10, [0.5] * shape[0], [0.25] * shape[0], seed=0)
    with torch.no_grad():
        model.train()(x)  # statistics of batch normalisations that are not those of a fresh network
    model = METHODS[method](model.eval(), shape, x)
    with tempfile.TemporaryDirectory() as folder:
        done = export_grafted(model, shape, Path(folder) / "model.onnx", x, EPS)
        with torch.no_grad():
            label = int(model(x[:1]).argmax())
        result = verify(done.path, robustness(x[0], EPS, label, 10, clip=(0, 1)), timeout=TIMEOUT)
    return {"architecture": arch, "method": method, "relus": done.neurons, "lines": done.lines,
            **{f"output_{kind}": f"{value:.2g}" for kind, value in done.outputs.items()},
            **{f"bound_{name}": f"{value:.2g}" for name, value in done.bounds.items()},
            "verdict": result.verdict.value, "error": ""}


def rows(archs: Sequence[str], methods: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row per architecture and method; what was refused or differs has an `error`."""
    for arch in archs:
        for method in methods:
            try:
                yield measure(arch, method)
            except VerifyError as error:
                yield {"architecture": arch, "method": method, "error": str(error)}


COLUMNS = ("architecture", "method", "relus", "lines", "output_clean", "output_random", "output_corners", "output_pgd",
           "bound_ibp", "bound_crown", "bound_crown-ibp", "verdict", "error")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exports", description=__doc__)
    parser.add_argument("--archs", default=",".join((*ARCHITECTURES, *FAMILIES)))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    failed = 0
    with (given.out.open("w", encoding="utf-8", newline="") if given.out else sys.stdout) as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows(given.archs.split(","), given.methods.split(",")):
            writer.writerow(row)
            stream.flush()
            failed += bool(row["error"])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
