"""Engine `alpha-crown`: optimised slopes for intermediate layers and output (Xu et al. 2021). Sound, incomplete."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from verify.bounds.ascent import AscentOptions, ascend
from verify.bounds.compact import CompactNetwork
from verify.bounds.dual import DualProblem
from verify.bounds.root import UNWATCHED, RootTrace, compact_root, drop_stable, refine, rigorous_rows
from verify.budget import Budget
from verify.engines.base import Settings, closed_disjuncts, from_margins
from verify.errors import OutOfResources, Unbounded
from verify.options import SEMANTICS
from verify.query import Query
from verify.result import Reason, Result

INTERMEDIATE = AscentOptions(iterations=20, lr_alpha=0.25)
FINAL = AscentOptions(iterations=50, lr_alpha=0.25, lr_weights=0.25)


def raise_margins(network: CompactNetwork, members: Tensor, margins: Tensor, options: AscentOptions = FINAL,
                  expired=lambda: False, trace: RootTrace = UNWATCHED) -> Tensor:
    """`margins` (D,) raised for the disjuncts that are still open, rows of a disjunct combined with optimised convex
    weights. Rigorous: the ascent's result is re-evaluated with its rounding charged."""
    open_ = (~(margins > 0)).nonzero().squeeze(1)
    open_ = open_[members[open_].any(1)]
    if not open_.numel():
        return margins
    problem = DualProblem.of(network)
    mine = members[open_]
    singles = rigorous_rows(network, network.row_weight, network.row_bias, network.row_error)
    best = torch.where(mine, singles, torch.full_like(singles, -torch.inf)).argmax(1)
    # Where no single row has a bound, `best` may name a row of another disjunct: only own rows can prove a disjunct.
    start = problem.initial(torch.nn.functional.one_hot(best, members.shape[1]) * mine)
    found = ascend(problem, start, members=mine, options=options, expired=expired)
    params = replace(found.params, weights=found.params.weights * mine)
    bound = problem.rigorous(params).nan_to_num(nan=-torch.inf, posinf=-torch.inf)
    trace.combined(network, open_, params, bound)
    return margins.index_copy(0, open_, torch.maximum(margins[open_], bound.to(margins.dtype)))


class AlphaCrownVerifier:
    """alpha-CROWN on the collapsed network, several half-spaces of a disjunct combined."""

    name, sound, complete_for, semantics = "alpha-crown", True, "nothing", SEMANTICS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        box = query.interval()
        varying = torch.from_numpy(query.varying).to(box.lower.device)
        members = query.members.to(box.lower.device)
        expired = lambda: budget.expired  # noqa: E731
        try:
            with torch.no_grad():
                root = compact_root(query.graph, box, varying, budget.memory_bytes, expired)
                margins = closed_disjuncts(root.row_lower, members)
                self.settings.root_trace.bounded(margins)
                network = root.network.to(dtype=torch.float64)
                if not bool((margins > 0).all()):
                    trace = self.settings.root_trace
                    network = drop_stable(refine(network, INTERMEDIATE, expired, trace=trace))
                    margins = raise_margins(network, members, margins.to(torch.float64), FINAL, expired, trace)
        except TimeoutError:
            return Result.unknown(Reason.TIMEOUT)
        except OutOfResources as error:
            return Result.unknown(Reason.MEMORY, str(error))
        except Unbounded as error:
            return Result.unknown(Reason.NUMERICS, str(error))
        return from_margins(margins, self.name, budget)
