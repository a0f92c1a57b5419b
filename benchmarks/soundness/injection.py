"""Faults to inject: places in the verifier that are made to fail, to return NaN, or to lie, for the time of a `with`.

Places are named by strings and looked up when they are used, so that nothing here imports the search. Each entry of
`NAN_PLACES` names what returns bounds, and how NaN gets into what it returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import Any
from unittest import mock

import numpy as np
import torch

from verify.lp.backend import Backend, free_backend
from verify.lp.model import LpSolution, MilpSolution, SolveStatus

ALLOCATING = ("torch.cat", "torch.where", "torch.zeros_like", "torch.maximum", "torch.minimum", "torch.stack",
              "torch.eye", "torch.Tensor.new_zeros", "torch.Tensor.clone", "torch.Tensor.__matmul__",
              "torch.Tensor.abs", "torch.Tensor.clamp", "torch.Tensor.expand", "torch.Tensor.to", "numpy.concatenate")
FAILURES = (lambda: MemoryError(), lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            lambda: RuntimeError("an internal assert of a library"))


def locate(place: str) -> tuple[Any, str]:
    """(owner, attribute) of a dotted name, in any module. Raises AttributeError when it does not exist."""
    parts = place.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            owner = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:-1]:
            owner = getattr(owner, part)
        getattr(owner, parts[-1])
        return owner, parts[-1]
    raise AttributeError(f"{place}: no such place")


@contextmanager
def wrapped(place: str, wrap: Callable[[Callable], Callable]) -> Iterator[None]:
    """`place` is replaced by wrap(its own function)."""
    owner, name = locate(place)
    with mock.patch.object(owner, name, wrap(getattr(owner, name))):
        yield


@contextmanager
def failing(place: str, call: int, failure: Callable[[], Exception]) -> Iterator[list[int]]:
    """The `call`-th call of `place` raises; yields a list that holds the number of calls so far."""
    calls = [0]

    def wrap(function: Callable) -> Callable:
        def fails(*args, **kwargs):
            calls[0] += 1
            if calls[0] == call:
                raise failure()
            return function(*args, **kwargs)

        return fails

    with wrapped(place, wrap):
        yield calls


def poisoned(values: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The same numbers, a random part of them replaced by NaN (sometimes by an infinity)."""
    if not values.is_floating_point():
        return values
    bad = float(rng.choice([np.nan, np.nan, np.nan, np.inf]))
    mask = torch.from_numpy(np.asarray(rng.random(tuple(values.shape)) < rng.choice([0.1, 0.5, 1.0])))
    return torch.where(mask, torch.full_like(values, bad), values)


def _field(name: str) -> Callable[[Any, np.random.Generator], Any]:
    return lambda answer, rng: replace(answer, **{name: poisoned(getattr(answer, name), rng)})


def _leaf_bound(answer, rng: np.random.Generator):
    return replace(answer, bound=float(rng.choice([np.nan, np.inf])))


NAN_PLACES: MappingProxyType[str, Callable[[Any, np.random.Generator], Any]] = MappingProxyType({
    "verify.linear_form.LinearForm.minimum": poisoned,
    "verify.bounds.dual.DualProblem.rigorous": poisoned,
    "verify.bounds.dual.DualProblem.backward": _field("bound"),
    "verify.bounds.root.rigorous_rows": poisoned,
    "bab.input_split.InputSplitBounder.bound": _field("margin"),
    "bab.relu_split.ReluSplitBounder.bound": _field("margin"),
    "bab.relu_split.ReluSplitBounder.decide_stuck": _field("margin"),
    "bab.relu_split.ReluSplitBounder._rigorous": poisoned,
    "bab.value_split.ValueSplitBounder.bound": _field("margin"),
    "bab.value_split.ValueSplitBounder._rigorous": poisoned,
    "verify.lp.leaf.decide_leaf": _leaf_bound,
})


@contextmanager
def returning_nan(place: str, rng: np.random.Generator) -> Iterator[None]:
    """`place` returns NaN in random entries, in about half of its calls."""
    spoil = NAN_PLACES[place]

    def wrap(function: Callable) -> Callable:
        def spoiled(*args, **kwargs):
            answer = function(*args, **kwargs)
            return spoil(answer, rng) if rng.random() < 0.5 else answer

        return spoiled

    with wrapped(place, wrap):
        yield


@contextmanager
def blind() -> Iterator[None]:
    """No candidate is ever confirmed: the verifier cannot end with `sat`, and has to search a violated property to its
    end without ever calling it `unsat`."""
    with ExitStack() as stack:
        for name in ("check", "check_nearest"):
            stack.enter_context(wrapped(f"verify.certificate.witness.Replayer.{name}", lambda _: lambda *args: None))
        yield


LIES = ("infeasible", "random duals", "NaN duals", "huge duals", "wrong point", "no answer")


def lying_backend(lie: str, rng: np.random.Generator, truthful: Backend | None = None) -> Backend:
    """A solver whose LP answers are false; its MILP lies about everything but the dual bound, whose word has to be
    taken (it is left out instead)."""
    honest = truthful or free_backend()

    def duals(rows: int) -> np.ndarray:
        size = {"NaN duals": np.nan, "huge duals": 1e300}.get(lie, 10.0 ** rng.uniform(-2, 6))
        return rng.standard_normal(rows) * size

    def lp(program, *limits) -> LpSolution:
        if rng.random() < 0.2:
            return honest.lp(program, *limits)
        x = program.col_lower + rng.random(program.columns) * (program.col_upper - program.col_lower)
        if lie == "wrong point":
            return LpSolution(SolveStatus.OPTIMAL, 10 * x + 1, honest.lp(program, *limits).row_duals, 1.0)
        if lie == "no answer":
            return LpSolution(SolveStatus.FAILED)
        status = SolveStatus.INFEASIBLE if lie == "infeasible" else SolveStatus.OPTIMAL
        return LpSolution(status, x, duals(program.rows), float(10.0 ** rng.uniform(-3, 3)))

    def milp(program, *limits) -> MilpSolution:
        x = program.col_lower + rng.random(program.columns) * (program.col_upper - program.col_lower)
        status = SolveStatus.INFEASIBLE if lie == "infeasible" else SolveStatus.OPTIMAL
        return MilpSolution(status, float("-inf"), None if lie == "no answer" else x, -1.0)

    return Backend(f"liar ({lie})", lp, milp)


@contextmanager
def lying_solver(lie: str, rng: np.random.Generator) -> Iterator[None]:
    """Every LP of the verifier goes to a liar, and branch and bound closes no domain by its own bounds, so that all its
    leaves are LPs."""
    liar = lying_backend(lie, rng)

    def nothing_proved(function: Callable) -> Callable:
        return lambda *args, **kwargs: torch.full_like(function(*args, **kwargs), -torch.inf)

    with ExitStack() as stack:
        stack.enter_context(wrapped("verify.lp.leaf.default_backend", lambda function: lambda: liar))
        stack.enter_context(wrapped("bab.relu_split.ReluSplitBounder._rigorous", nothing_proved))
        yield
