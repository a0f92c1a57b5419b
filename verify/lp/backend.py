"""Which solver: Gurobi when it is installed, else HiGHS through highspy, else the HiGHS inside scipy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from verify.lp.model import LpSolution, MilpSolution


@dataclass(frozen=True)
class Backend:
    """`lp(program, seconds, threads)` and `milp(program, seconds, threads, stop_when_bound_above,
    stop_when_incumbent_below)`. What they return is a claim, never a proof."""

    name: str
    lp: Callable[..., LpSolution]
    milp: Callable[..., MilpSolution]


_PREFERRED = (("gurobipy", "verify.lp.gurobi"), ("highspy", "verify.lp.highs"), ("scipy", "verify.lp.scipy_highs"))


def available() -> tuple[str, ...]:
    """Names of the solver packages that are installed, the preferred one first."""
    return tuple(package for package, _ in _PREFERRED if find_spec(package) is not None)


def load(package: str) -> Backend:
    """The backend on top of one of `available()`."""
    module = import_module(dict(_PREFERRED)[package])
    return Backend(package, module.solve_lp, module.solve_milp)


def default_backend() -> Backend:
    """The best installed one."""
    return load(available()[0])


def free_backend() -> Backend:
    """The best installed one that needs no licence."""
    return load(next(package for package in available() if package != "gurobipy"))
