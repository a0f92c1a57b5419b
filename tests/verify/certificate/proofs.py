"""Questions with recordings that proofs can be written from: searches of a chosen kind on small random networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from bab.search import SearchOptions
from benchmarks.soundness.questions import spec_text
from tests.soundness.nets import case, dense, row
from tests.verify.bounds.networks import low_points
from verify.budget import Budget
from verify.certificate.checker.arithmetic import Float64
from verify.certificate.checker.check import Report, check
from verify.certificate.checker.collapse import Collapser
from verify.certificate.checker.network import load_network
from verify.certificate.checker.nodes import Context, Domain
from verify.certificate.checker.rows import float_rows, outer_box, unique_rows
from verify.certificate.checker.spec import read_spec
from verify.certificate.checker.stream import open_container
from verify.certificate.emit.places import Place, RootSides
from verify.certificate.proof import Written, write_proof
from verify.certificate.recorder import Recorder
from verify.certificate.recording import LeafRecord, Recording
from verify.engines.bab import analyse_root, make_search, strengthen_root
from verify.engines.base import Settings
from verify.onnx_import import from_bytes
from verify.pipeline import Problem
from verify.query import Case, Spec
from verify.sets import Interval
from verify.vnnlib import parse_spec


@dataclass(frozen=True, eq=False)
class Question:
    """The files' bytes, the prover's reading, and what its search left behind."""

    network: bytes
    spec: bytes
    asked: Spec
    semantics: str = "real"
    recording: Recording | None = None

    def write(self, path: Path, seconds: float = 30.0) -> Written:
        return write_proof(path, self.network, self.spec, self.asked, self.recording, self.semantics,
                           Budget.seconds(seconds))

    def check(self, path: Path, arithmetic: str = "float64") -> Report:
        return check(self.network, self.spec, open_container(path), arithmetic)

    def accepted(self, path: Path, *arithmetics: str) -> Written:
        """Writes a proof, has it checked (float64 and `arithmetics`), and compares what both say."""
        written = self.write(path)
        for arithmetic in ("float64", *arithmetics):
            report = self.check(path, arithmetic)
            assert (report.trees, report.leaves, report.checked) == (written.trees, written.leaves, written.leaves)
            assert report.smallest_margin > 0 and report.semantics == self.semantics
            if arithmetic == "float64":
                # Sums may run in another order in other batches.
                assert np.isclose(report.smallest_margin, written.smallest_margin, rtol=1e-6, atol=1e-9)
        assert written.bytes == path.stat().st_size and list(path.parent.iterdir()) == [path]
        return written


def ask(network: bytes, *cases: Case, semantics: str = "real") -> Question:
    """A property as the files that a user would have."""
    model = from_bytes(network)
    spec = spec_text(Spec(int(np.prod(model.input_shape)), int(np.prod(model.output_shape)), cases, "by hand"))
    return Question(network, spec.encode(), parse_spec(spec), semantics)


def searched(question: Question, mode: str, batch: int = 4) -> Question:
    """With the recording of a search that splits `mode`s only; it must close every case."""
    problem, recorder = Problem(from_bytes(question.network), question.asked, question.semantics), Recorder()
    for number, own in enumerate(problem.spec.cases):
        if own.box.empty is not None:
            recorder.settled(number, 0)
            continue
        query = problem.query(own, dtype=torch.float64)
        recorder.begin(number, query)
        state = analyse_root(query, Budget(), recorder.current)
        if mode == "relu":
            state = strengthen_root(query, state, Budget.seconds(60), recorder.current)
        if not state.proved:
            run = make_search(mode, query, state, Settings(recorder=recorder))
            run.options = SearchOptions(batch, batch)
            outcome = run.run(Budget.seconds(60))
            assert outcome.closed, outcome
        recorder.end(True)
    return replace(question, recording=recorder.recording(len(problem.spec.cases)))


def random_layers(seed: int, sizes: Sequence[int], activation: str = "Relu") -> bytes:
    """A dense network with Gaussian weights of variance 2 / inputs."""
    rng = np.random.default_rng(seed)
    layers = [(rng.standard_normal((o, i)) * (2 / i) ** 0.5, 0.3 * rng.standard_normal(o))
              for i, o in pairwise(sizes)]
    return dense(layers, activation)


def least_outputs(network: bytes, lower: Sequence[float], upper: Sequence[float]) -> np.ndarray:
    """The least value (o,) of every output that samples, corners and descents find in a box."""
    graph = from_bytes(network).graph.to("cpu", torch.float64)
    box = Interval(*(torch.tensor(side, dtype=torch.float64).reshape(1, *graph.input.shape) for side in (lower, upper)))
    rows = torch.eye(int(np.prod(graph[graph.output].shape)))
    found = low_points(graph, box, rows.repeat(40, 1).reshape(-1, *graph[graph.output].shape), 3000, 25)
    return found.reshape(40, -1).amin(0).numpy()


def below(value: float) -> Fraction:
    """A short decimal."""
    return Fraction(round(value * 1000), 1000)


def floors(network: bytes, lower: Sequence[float], upper: Sequence[float], margins: Sequence[float]) -> Case:
    """A box with one disjunct per output k and margin: it falls to that margin below the least value found."""
    least = least_outputs(network, lower, upper)
    return case(lower, upper, *([row({k: 1}, below(m - least[k]))] for k, m in enumerate(margins)))


def without_evidence(recording: Recording) -> Recording:
    """The trees alone."""
    return changed(recording, lambda leaf: LeafRecord())


def changed(recording: Recording, leaf) -> Recording:
    """Every leaf record mapped by `leaf`."""
    return Recording(tuple(
        replace(own, trees=tuple(replace(tree, leaves={k: leaf(found) for k, found in tree.leaves.items()})
                                 for tree in own.trees)) for own in recording.cases))


def collapsed(question: Question, number: int = 0, arithmetic: type = Float64) -> tuple[Place, list[list[int]]]:
    """The root of a case in the checker's terms, and the rows of its disjuncts."""
    own = read_spec(question.spec).cases[number]
    rows, members = unique_rows(own)
    walk = Collapser(load_network(question.network), *outer_box(own), arithmetic, question.semantics == "float32")
    net = walk.finish(float_rows(rows, len(own.lower), int(np.prod(walk.plain[-1].shape))))
    return Place(Domain(Context(net), net.x_lower, net.x_upper, (), 0), RootSides(walk)), members


def row_values(question: Question, x: np.ndarray, number: int = 0) -> np.ndarray:
    """The rows of a case at points x (n, inputs) in float64: (n, r)."""
    y = run(question, x)
    rows, _ = unique_rows(read_spec(question.spec).cases[number])
    return np.stack([sum(float(c) * y[:, k] for k, c in r.y) + sum(float(c) * x[:, k] for k, c in r.x)
                     + float(r.constant) for r in rows], 1)


def run(question: Question, x: np.ndarray) -> np.ndarray:
    graph = from_bytes(question.network).graph.to("cpu", torch.float64)
    return graph.evaluate(torch.from_numpy(x).reshape(-1, *graph.input.shape)).reshape(len(x), -1).numpy()


def points(lower: np.ndarray, upper: np.ndarray, count: int = 500) -> np.ndarray:
    return lower + np.random.default_rng(0).random((count, len(lower))) * (upper - lower)
