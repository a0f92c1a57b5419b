"""What the answers about a pair become: lines for people, and the JSON document."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verify import __version__
from verify.pairs.bisect import Spread, Step
from verify.pairs.network import Pair
from verify.query import Spec
from verify.result import Result, Witness

if TYPE_CHECKING:
    from verify.pairs.cli import Asked

SCHEMA = 1
SHOWN = 16
"""Numbers of a point that are printed; all of them are in the JSON document."""


def spread_lines(spread: Spread) -> Iterable[str]:
    """One line per output: the largest difference found at the one point, and what is proved."""
    seen = None if spread.seen is None else (spread.seen.executed if spread.seen.real is None else spread.seen.real)
    yield "output  found here    proved"
    for j, bound in enumerate(spread.bounds):
        found = "-" if seen is None else f"{seen[j]:.6g}"
        yield f"{j:<6}  {found:<12}  {bound:.6g}"


def seen_lines(spread: Spread) -> Iterable[str]:
    """Where the largest difference was found, and how it was measured."""
    if spread.seen is None:
        yield "no point found that both networks can be fed"
        return
    what = "on onnxruntime" if spread.seen.real is None else (
        f"over the reals, exactly; {np.max(spread.seen.executed):.6g} on onnxruntime")
    yield f"found   {spread.lower:.6g} ({what}) at {shown(spread.seen.x)}"


def witness_lines(pair: Pair, witness: Witness) -> Iterable[str]:
    """The counterexample of a decision: the point of both networks, and both outputs."""
    n, m = pair.inputs, pair.outputs
    yield f"x       {shown(witness.x[:n])}"
    if pair.tie.raised:
        yield f"rise    {shown(witness.x[n:])} in {list(pair.tie.raised)}"
    yield f"first   {shown(witness.y[:m])}"
    yield f"second  {shown(witness.y[m:])}"
    gap = np.abs(witness.y[:m].astype(np.float64) - witness.y[m:].astype(np.float64))
    yield f"apart   {float(gap.max()):.6g} at output {int(gap.argmax())}"


def steps_lines(what: str, steps: Iterable[Step]) -> Iterable[str]:
    for step in steps:
        yield f"  {what} {step.value:.6g}: {step.verdict.value} in {step.seconds:.2f} s, {step.domains} domains"


def shown(values: np.ndarray) -> str:
    more = f", ... ({values.size} numbers)" if values.size > SHOWN else ""
    return "[" + ", ".join(f"{v:.9g}" for v in values[:SHOWN].tolist()) + more + "]"


def decision_document(asked: Asked, pair: Pair, spec: Spec, result: Result) -> dict[str, Any]:
    witness, tree, n, m = result.witness, result.tree, pair.inputs, pair.outputs
    return _frame(asked, pair, result.as_vnncomp, result.stats.seconds) | {
        "property": spec.source, "reason": result.reason.value if result.reason else "", "detail": result.detail,
        "method": result.stats.method, "domains": int(result.stats.domains),
        "tree": None if tree is None else
        {"leaves": int(tree.leaves), "smallest_margin": _finite(tree.smallest_margin)},
        "witness": None if witness is None else {
            "x": _list(witness.x[:n]), "rise": _list(witness.x[n:]), "first": _list(witness.y[:m]),
            "second": _list(witness.y[m:]), "violation": _finite(witness.violation),
            "label": None if witness.robustness is None else witness.robustness.label},
    }


def spread_document(asked: Asked, pair: Pair, answer: str, spread: Spread, seconds: float) -> dict[str, Any]:
    seen = spread.seen
    return _frame(asked, pair, answer, seconds) | {
        "property": "largest difference", "upper": _finite(spread.upper), "lower": _finite(spread.lower),
        "bounds": _list(spread.bounds), "steps": _steps(spread.steps),
        "found": None if seen is None else {
            "x": _list(seen.x), "executed": _list(seen.executed),
            "real": None if seen.real is None else _list(seen.real)},
    }


def radius_document(asked: Asked, pair: Pair, answer: str, radius: float, steps: Iterable[Step], seconds: float
                    ) -> dict[str, Any]:
    return _frame(asked, pair, answer, seconds) | {
        "property": "largest radius", "radius": _finite(radius), "steps": _steps(steps)}


def _frame(asked: Asked, pair: Pair, answer: str, seconds: float) -> dict[str, Any]:
    return {
        "schema": SCHEMA, "tool": "verify diff", "version": __version__, "answer": answer, "seconds": _finite(seconds),
        "coupled": not pair.note, "note": pair.note, "exact_weights": pair.exact,
        "options": {entry.name: str(value) if isinstance(value, Path) else value
                    for entry in dataclasses.fields(asked) for value in [getattr(asked, entry.name)]},
    }


def _steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [{"value": _finite(s.value), "verdict": s.verdict.value, "seconds": _finite(s.seconds),
             "domains": int(s.domains)} for s in steps]


def _list(values: np.ndarray) -> list[float | None]:
    return [_finite(v) for v in values.tolist()]


def _finite(value: float) -> float | None:
    """Numbers that JSON cannot write become null."""
    return float(value) if math.isfinite(value) else None
