"""What an engine is: one method, honest traits, and what all engines share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from verify.attack.base import disjunct_margins
from verify.bounds.root import UNWATCHED, RootTrace
from verify.budget import Budget
from verify.certificate.recorder import Recorder
from verify.progress import Observer, Progress
from verify.query import Query
from verify.result import ClosedTree, Reason, Result, Stats


def silent(progress: Progress) -> None:
    """An observer that looks away."""


@dataclass(frozen=True)
class Settings:
    """What every engine may be told; device and dtype are those of the query's graph.

    `recorder`: where the evidence of a verdict is kept, if it is wanted. It is the one object that a run changes: the
    evidence outlives the search that found it, and a `Result` stays small.
    """

    seed: int = 0
    watch: Observer = silent
    recorder: Recorder | None = None

    @property
    def root_trace(self) -> RootTrace:
        """Who watches the root bounds."""
        return UNWATCHED if self.recorder is None else self.recorder.current


class Verifier(Protocol):
    """One way of deciding a query.

    `sound`: its `verified` is a proof; `complete_for`: networks and properties it always decides, given time;
    `semantics`: what a verdict can speak about, of `verify.options.SEMANTICS`. An engine that takes its numbers from
    `verify.bounds` and their charges decides both: roundings of executions are perturbations of the graph.
    """

    name: ClassVar[str]
    sound: ClassVar[bool]
    complete_for: ClassVar[str]
    semantics: ClassVar[tuple[str, ...]]

    def __init__(self, settings: Settings) -> None: ...

    def verify(self, query: Query, budget: Budget) -> Result:
        """Decides `query` within `budget`."""
        ...


def closed_disjuncts(row_lower: Tensor, members: Tensor) -> Tensor:
    """Margin (D,) of every disjunct from rigorous row bounds (R,): its best row; what is not finite never counts."""
    clean = row_lower.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)
    return disjunct_margins(clean.unsqueeze(0), members.to(clean.device))[0]


def from_margins(margins: Tensor, name: str, budget: Budget) -> Result:
    """The answer of an incomplete bound method: verified if every disjunct has a positive margin."""
    least = float(margins.min()) if margins.numel() else float("inf")
    stats = Stats(seconds=budget.elapsed, domains=1, best_bound=least, method=name)
    if bool((margins > 0).all()):
        note = "" if margins.numel() else "nothing is unsafe: the property has no output condition"
        return Result.verified(ClosedTree(1, least, note), stats=stats)
    return Result.unknown(Reason.INCOMPLETE, f"best bound {least:.4g}", stats=stats)
