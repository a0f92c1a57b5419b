"""A question: a model, a set of inputs, and what is wanted of the outputs on it.

    question = specs.ask("net.onnx", specs.l2_ball(image, 0.5, clip=(0, 1)), specs.classified(3))
    result = question.solve(timeout=60)
    question.point(result.witness)          # the input that is a counterexample, in the shape of the model

`question.model` and `question.spec` are an ONNX model and a `Spec` that `verify.verify` accepts as well; where the set
has layers of its own (`Region.front`, attachments) the model holds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from verify.attack.base import unsafe_points
from verify.budget import Budget
from verify.certificate.robustness import labelled
from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import import Network, from_bytes, load_network
from verify.onnx_import.module import from_module
from verify.pipeline import Problem, solve
from verify.query import Case, LinearConstraint, Query, Spec
from verify.result import Result, Stats, Verdict, Witness
from verify.semantics import stated
from verify.specs.outputs import Wanted
from verify.specs.region import Region, Rows, scaled
from verify.specs.support import gradients
from verify.specs.surgery import only_input

Model = str | Path | bytes | nn.Module | Network

SAMPLES = 256
"""Members that are tried first, per piece, where a set is smaller than its pieces."""


@dataclass(frozen=True, eq=False)
class Stated(Problem):
    """A problem whose candidates are moved to members of the set nearby, where these are fewer than the points of the
    boxes."""

    region: Region = field(kw_only=True)

    def _replay(self, x: Tensor, query: Query) -> Witness | None:
        found = super()._replay(x, query)
        if found is None and self.region.snap is not None:
            found = self.replayer.check(self.region.snap(x.detach().cpu().double().numpy().reshape(-1)), query.case)
        return found


@dataclass(frozen=True, eq=False)
class Asked:
    """`network` is what is verified and replayed, `original` the model that was asked about."""

    network: Network
    spec: Spec
    region: Region
    original: Network

    @property
    def model(self) -> bytes:
        """The ONNX model that is verified."""
        return self.network.onnx

    @property
    def note(self) -> str:
        """What a proof is about, where it is more than was asked."""
        return self.region.note

    def solve(self, *, timeout: float | None = None, method: str = "portfolio", device: str = "auto",
              dtype: str = "auto", seed: int = 0, semantics: str = "real") -> Result:
        """As `verify.verify`; a witness holds the parameters of the set (`point` gives the input)."""
        if timeout is not None and not timeout > 0:
            raise InvalidInput(f"timeout must be a positive number of seconds or None, got {timeout!r}")
        budget = Budget.seconds(math.inf if timeout is None else timeout)
        problem = Stated(self.network, self.spec, semantics, region=self.region)
        witness = None if self.region.snap is None else _member(problem, seed, budget)
        if witness is None:
            result = solve(problem, method, budget, device, dtype, seed)
        else:
            found = Result.falsified(witness, stats=Stats(budget.elapsed, method="members"))
            result = stated(labelled(found, self.network, self.spec, budget), self.spec, semantics)
        if result.verdict is Verdict.FALSIFIED or not self.note:
            return result
        return replace(result, detail="; ".join(part for part in (result.detail, self.note) if part))

    def point(self, witness: Witness | np.ndarray) -> np.ndarray:
        """The input of the model at a witness, in the model's shape: exactly what the model was given."""
        p = witness.x if isinstance(witness, Witness) else np.asarray(witness)
        if self.region.front is not None:
            return self.region.front.apply(p, self.original)
        return p.reshape(self.original.input_shape) if p.size == math.prod(self.original.input_shape) else p

    def describe(self, witness: Witness) -> str:
        """The witness in the words of the set."""
        text = self.region.describe or (lambda p: np.array2string(p, separator=", ", threshold=50))
        return text(witness.x)


def ask(model: Model, region: Region, wanted: Wanted, *, example_input: Tensor | None = None) -> Asked:
    """Whether `wanted` holds for every input of `region`. `model`: as for `verify.verify`, with one input; a module
    gets an `example_input`, or an input of the shape that the region was stated for (with a batch axis of 1)."""
    original = loaded(model, region.shape, example_input)
    size, port = math.prod(region.shape), only_input(original)
    if port.size != size:
        raise ShapeMismatch(f"{region.name} is about {size} inputs (shape {list(region.shape)}); {original.source} has "
                            f"{port.size} (input {port.name!r}, shape {list(port.shape)})")
    outputs = math.prod(original.output_shape)
    unsafe = wanted(outputs)
    network = original if region.front is None else region.front.attach(original)
    for attachment in region.attachments:
        network = attachment.attach(network)
    whole = math.prod(network.output_shape)
    slopes = [[] if region.ball is None else gradients(original.graph, region.ball.centre, disjunct)
              for disjunct in unsafe]
    cases = []
    for piece in region.pieces:
        rows = tuple(region.placed(row, outputs, whole) for row in piece.rows)
        cases.append(Case(piece.box, tuple((*disjunct, *_premises(region, rows, along))
                                           for disjunct, along in zip(unsafe, slopes, strict=True))))
    spec = Spec(cases[0].box.lower.size, whole, tuple(cases), region.name, region.monomials)
    return Asked(network, spec, region, original)


def _premises(region: Region, rows: Rows, along: list[tuple[LinearConstraint, np.ndarray]]) -> Rows:
    """The rows of a piece as one disjunct reads them."""
    if region.ball is None:
        return rows
    factor = region.ball.factor([g for _, g in along])
    return (*(region.ball.straightened(h, g) for h, g in along), *(scaled(row, factor) for row in rows))


def loaded(model: Model, shape: tuple[int, ...], example_input: Tensor | None = None) -> Network:
    """The network of a model. Raises `InvalidInput`."""
    if isinstance(model, nn.Module):
        given = shape if len(shape) > 1 and shape[0] == 1 else (1, *shape)
        return from_module(model, torch.zeros(given) if example_input is None else example_input)
    if example_input is not None:
        raise InvalidInput("example_input belongs to modules; an ONNX model declares its own input shape")
    if isinstance(model, Network):
        return model
    if isinstance(model, bytes):
        return from_bytes(model)
    if isinstance(model, (str, Path)):
        return load_network(model)
    raise InvalidInput(f"a model is a path, bytes or a torch.nn.Module, got {type(model).__name__}")


def _member(problem: Stated, seed: int, budget: Budget) -> Witness | None:
    """A counterexample among random members of the set."""
    generator = torch.Generator().manual_seed(seed)
    for case in problem.spec.cases:
        if case.box.empty is not None or budget.expired:
            continue
        query = problem.query(case)
        box = query.interval()
        points = box.sample(SAMPLES, generator).flatten(1).numpy()
        members = np.unique(np.array([problem.region.snap(point) for point in points]), axis=0)
        likely = unsafe_points(query, torch.from_numpy(members).reshape(-1, *box.lower.shape[1:]))
        for x in () if likely is None else likely:
            witness = query.replay(x)
            if witness is not None:
                return witness
    return None
