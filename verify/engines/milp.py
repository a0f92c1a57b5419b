"""Engine `milp`: one mixed-integer program per disjunct on the collapsed network (Tjeng et al. 2019).

A binary per unstable ReLU. Sound by the solver's dual bound with a margin far beyond its tolerances; complete for ReLU
networks up to that margin."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from verify.bounds.compact import CompactNetwork
from verify.bounds.root import compact_root, drop_stable, refine
from verify.budget import Budget
from verify.engines.alpha_crown import FINAL, INTERMEDIATE, raise_margins
from verify.engines.base import Settings, closed_disjuncts, from_margins
from verify.errors import OutOfResources, UnsupportedOperator
from verify.options import SEMANTICS
from verify.progress import Progress
from verify.query import Query
from verify.result import ClosedTree, Reason, Result, Stats, Verdict


class MilpVerifier:
    """alpha-CROWN bounds, then HiGHS (or Gurobi where installed and licensed)."""

    name, sound, complete_for, semantics = "milp", True, "ReLU networks", SEMANTICS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        box = query.interval()
        varying = torch.from_numpy(query.varying).to(box.lower.device)
        expired, trace = lambda: budget.expired, self.settings.root_trace
        try:
            with torch.no_grad():
                root = compact_root(query.graph, box, varying, budget.memory_bytes, expired)
                margins = closed_disjuncts(root.row_lower, query.members).to(torch.float64)
                trace.bounded(margins)
                if bool((margins > 0).all()):
                    return from_margins(margins, self.name, budget)
                network = root.network.to(dtype=torch.float64)
                network = drop_stable(refine(network, INTERMEDIATE, expired, trace=trace))
                margins = raise_margins(network, query.members, margins, FINAL, expired, trace)
            return solve_milp(query, network, margins, budget, self.settings)
        except TimeoutError:
            return Result.unknown(Reason.TIMEOUT)
        except OutOfResources as error:
            return Result.unknown(Reason.MEMORY, str(error))
        except UnsupportedOperator as error:
            return Result.unknown(Reason.UNSUPPORTED, str(error))


class Rival:
    """`solve_milp` in a thread of its own, next to a search: the solver runs without the interpreter lock.

    With `may_prove` False only a counterexample counts: a solver's word is no evidence that others could check.
    """

    def __init__(self, query: Query, network: CompactNetwork, margins: Tensor, budget: Budget, may_prove: bool = True):
        self._settling = {Verdict.VERIFIED, Verdict.FALSIFIED} if may_prove else {Verdict.FALSIFIED}
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="milp")
        # One solver thread: leaves of the search are solved at the same time, and the solver's pool is shared.
        self._work = self._pool.submit(solve_milp, query, network, margins.clone(), budget.until(self._stop.is_set),
                                       Settings(), 1)

    def decided(self) -> bool:
        """True when an answer is there that settles the query. What went wrong in the thread is raised here."""
        return self._work.done() and self._work.result().verdict in self._settling

    def result(self) -> Result:
        return self._work.result()

    def close(self) -> None:
        """Tells the solver to stop at its next call back; does not wait for it."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def solve_milp(query: Query, network: CompactNetwork, margins: Tensor, budget: Budget, settings: Settings,
               threads: int | None = None) -> Result:
    """One program per disjunct that `margins` (D,) leaves open; ends with the first one it cannot prove."""
    from verify.lp.leaf import decide_milp  # the solver is loaded only when it is needed

    base = query.interval().center.flatten().to(torch.float64)
    leaves = 1
    for disjunct in (~(margins > 0)).nonzero().squeeze(1).tolist():
        settings.watch(Progress("milp", int((~(margins > 0)).sum())))
        rows = query.members[disjunct].nonzero().squeeze(1).tolist()
        leaf = decide_milp(network, rows, None, budget.remaining, threads or torch.get_num_threads(),
                           cancelled=budget.cancelled)
        margins[disjunct] = max(float(margins[disjunct]), leaf.bound)
        leaves += 1
        if margins[disjunct] > 0:
            continue
        stats = Stats(seconds=budget.elapsed, domains=leaves, best_bound=leaf.bound, method="milp")
        if leaf.candidate is not None:
            point = base.clone()
            point[network.varying] = torch.from_numpy(leaf.candidate)
            witness = query.replay(point.reshape(query.graph.input.shape))
            if witness is not None:
                return Result.falsified(witness, stats=stats)
        reason = Reason.TIMEOUT if budget.expired else Reason.NUMERICS
        return Result.unknown(reason, f"the solver ended with {leaf.status.name.lower()}", stats=stats)
    least = float(margins.min())
    return Result.verified(ClosedTree(leaves, least), stats=Stats(budget.elapsed, leaves, least, "milp"))
