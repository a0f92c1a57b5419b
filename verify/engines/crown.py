"""Engine `crown`: one backward pass with CROWN's lines (Zhang et al. 2018). Sound, incomplete."""

from __future__ import annotations

import torch

from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import charges
from verify.budget import Budget
from verify.engines.base import Settings, closed_disjuncts, from_margins
from verify.options import SEMANTICS
from verify.query import Query
from verify.result import Result


class CrownVerifier:
    """CROWN bounds of the property's rows on the whole box, CROWN bounds for the intermediate layers."""

    name, sound, complete_for, semantics = "crown", True, "nothing", SEMANTICS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        with torch.no_grad():
            box = query.interval()
            rounding = charges(query.graph, ibp(query.graph, box))
            lower, bounds = crown(query.graph, box, charges=rounding)
        rows = torch.fmax(lower[0], bounds[query.graph.output].lower.flatten())
        margins = closed_disjuncts(rows, query.members)
        self.settings.root_trace.bounded(margins)
        return from_margins(margins, self.name, budget)
