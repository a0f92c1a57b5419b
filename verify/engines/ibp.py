"""Engine `ibp`: interval bound propagation (Gowal et al. 2018). Sound, incomplete, the cheapest."""

from __future__ import annotations

import torch

from verify.bounds.ibp import ibp
from verify.budget import Budget
from verify.engines.base import Settings, closed_disjuncts, from_margins
from verify.options import SEMANTICS
from verify.query import Query
from verify.result import Result


class IbpVerifier:
    """Interval bounds of the property's rows on the whole box."""

    name, sound, complete_for, semantics = "ibp", True, "nothing", SEMANTICS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        with torch.no_grad():
            bounds = ibp(query.graph, query.interval())
        rows = bounds[query.graph.output].lower.flatten()
        margins = closed_disjuncts(rows, query.members)
        self.settings.root_trace.bounded(margins)
        return from_margins(margins, self.name, budget)
