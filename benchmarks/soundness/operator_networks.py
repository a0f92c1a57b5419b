"""Networks of random operators: their import is the network, and no bound excludes what the network does.

Graphs of up to twelve uses of any operators (tests/soundness/operator_table.py), wired at random. The import is held
against the reference implementation of ONNX in double precision and against onnxruntime; intervals and CROWN bounds of
every node and of rows, alpha-CROWN's of rows, against samples, corners and gradient search, in float64 and float32.
"""

from __future__ import annotations

import torch

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.questions import ERRORS
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.enclosure import DTYPES, METHODS, Subject, boxes, import_differs, wrong
from tests.soundness.operator_networks import Drawn, network
from verify.errors import Unbounded
from verify.onnx_import import from_bytes, simplify

RADII = ((0.01, 0.3, 1.0, 1.0, 0.0), (0.05, 0.6, 2.0, 1.0, 1e-4), (0.2, 4.0, 1.0, 3.0, 1e-7),
         (1e3, 1e10, 30.0, 1e20, 1e-12))
"""Of the box that a network was drawn for: beyond it, domains are left, and far beyond it numbers overflow."""


def examined(drawn: Drawn, number: int, methods: tuple[str, ...], record: Recorder) -> list[str]:
    """What is wrong with one network."""
    try:
        imported = from_bytes(drawn.onnx)
        found = [difference] if (difference := import_differs(drawn, imported)) else []
        graph = imported.graph if number % 3 == 0 else simplify(imported.graph)
        generator = torch.Generator().manual_seed(number)
        subject = Subject(graph, boxes(drawn, RADII[number // 3 % len(RADII)], generator), number)
        dtypes = DTYPES if "alpha-CROWN" not in methods else DTYPES[number // 2 % 2:][:1]
        found += wrong(subject, methods, dtypes)
    except Unbounded:
        record.count("no bounds")
        return []
    except ERRORS as error:
        record.count(f"error {type(error).__name__}")
        return [f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"]
    record.count("boxes", subject.points.shape[0])
    record.count("points", subject.points.shape[0] * subject.points.shape[1])
    record.count("values", sum(value.numel() for value in subject.truth[0].values()))
    return found


def run(cases: range, seed: int) -> Tally:
    """Case k: one network; every fourth one is bounded by alpha-CROWN, too."""
    record = Recorder()
    for k in cases:
        drawn = network((seed, k))
        record.tried()
        record.count("operators", len(drawn.operators))
        for what in examined(drawn, k, tuple(METHODS) if k % 4 == 0 else ("intervals", "CROWN"), record):
            record.wrong(k, f"{', '.join(drawn.operators)}: {what}", network__onnx=drawn.onnx)
    return record.result()


EXPERIMENT = Experiment("enclosure: operator networks", "imports are the network, bounds exclude none of its values",
                        run, lambda: 20_000, 40)
