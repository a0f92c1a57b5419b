"""Metamorphic relations: the same question in other words never gets the opposite answer, and where nothing but names
and order changed, the bounds of its rows are the same up to rounding (CROWN with parallel lines, which depend
continuously on the intervals)."""

from __future__ import annotations

import torch

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.questions import ask, spec_text
from benchmarks.soundness.relations import RELATIONS, Pair
from benchmarks.soundness.tally import Recorder, Tally
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import charges
from verify.onnx_import import from_bytes
from verify.pipeline import Problem
from verify.query import Spec
from verify.relaxations import FASTLIN

ENGINES = ("bab", "alpha-crown", "milp", "crown")
SECONDS, AGREE = 2.0, 1e-9


def row_bounds(onnx: bytes, spec: Spec) -> torch.Tensor:
    """CROWN's lower bounds of the rows of all cases, one after the other."""
    asked, found = Problem(from_bytes(onnx), spec), []
    for case in spec.cases:
        query = asked.query(case)
        box = query.interval()
        found.append(crown(query.graph, box, None, FASTLIN, charges(query.graph, ibp(query.graph, box)))[0].flatten())
    return torch.cat(found)


def disagreement(pair: Pair) -> str:
    """Where the bounds of a variant differ by more than rounding; empty if they agree."""
    first = row_bounds(pair.question.onnx, pair.question.spec)
    for variant in pair.variants:
        other = row_bounds(variant.onnx, variant.spec)
        if not torch.allclose(first, other, rtol=AGREE, atol=AGREE * (1 + float(first.abs().max()))):
            return f"row bounds {first.tolist()} became {other.tolist()}"
    return ""


def run(cases: range, seed: int) -> Tally:
    """Case k: relations in turns, question and variants put to one engine."""
    record, names = Recorder(), tuple(RELATIONS)
    for k in cases:
        name = names[k % len(names)]
        pair = RELATIONS[name](seed + k)
        p, engine = pair.question, ENGINES[k // len(names) % len(ENGINES)]
        record.tried()
        record.count(name)
        answers = [ask(p.onnx, p.spec, engine, SECONDS)]
        for variant in pair.variants:
            answer = ask(variant.onnx, variant.spec, engine, SECONDS)
            answers.append(answer)
            record.count(f"{engine}: {answer.verdict}")
            if answer.contradicts(p.unsafe is not None):
                record.wrong(k, f"{name}, {engine}: {answer.verdict} on a variant of seed {p.seed}, which is "
                                f"{'safe' if p.unsafe is None else 'violated'}", network__onnx=variant.onnx,
                             spec__vnnlib=spec_text(variant.spec), original__onnx=p.onnx)
        if {"sat", "unsat"} <= {answer.verdict for answer in answers}:
            record.wrong(k, f"{name}, {engine}: {' against '.join(answer.verdict for answer in answers)}")
        if pair.same_rows and (wrong := disagreement(pair)):
            record.wrong(k, f"{name}: {wrong}", network__onnx=pair.variants[0].onnx, original__onnx=p.onnx,
                         spec__vnnlib=spec_text(p.spec))
    return record.result()


EXPERIMENT = Experiment("metamorphic relations", "other words never get the opposite answer", run, lambda: 9_000, 54)
