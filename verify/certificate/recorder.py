"""Watches a run and keeps what a proof can be written from: `Recorder` for the property, `CaseRecorder` for one case.

    recorder = Recorder()
    result = solve(problem, recorder=recorder)
    recording = recorder.recording()      # None unless every case was verified by evidence that can be checked

During a search only arrays are stored, batch by batch; trees are put together when the case is done. A case that ends
without a complete tree for some disjunct that the root left open (a MILP decided it, say) has no record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.bounds.dual import DualParams
from verify.certificate.recording import (
    INPUT,
    PLAIN,
    CaseRecord,
    LeafRecord,
    Neurons,
    Recording,
    RefinementRecord,
    SplitRecord,
    TreeRecord,
    quantised,
)
from verify.errors import BrokenInvariant
from verify.query import Query, row_numbers
from verify.sets import Interval

MOST_BYTES = 256 << 20
"""Memory for the refinements of one case; what would exceed it is left out."""



class Domains(Protocol):
    """What the traces read of a batch of domains: ids, and the bounder's arrays by name."""

    @property
    def id(self) -> Tensor: ...

    @property
    def data(self) -> Mapping[str, Tensor]: ...

    def __len__(self) -> int: ...


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()


class _TreeTrace:
    """The shape of the trees of one search; what a split is and what a leaf carries is the subclasses' matter."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._splits: list[tuple[list[int], list[int]]] = []
        self._leaves = 0

    def roots(self, domains: Domains) -> None:
        self._roots = domains.id.tolist()

    def split(self, parents: Domains, children: Domains) -> None:
        self._splits.append((parents.id.tolist(), children.id.tolist()))

    def closed(self, domains: Domains, margins: Tensor) -> None:
        self._leaves += len(domains)

    @property
    def complete(self) -> bool:
        """Every split makes two domains of one: all are closed when there are as many leaves as roots and splits."""
        return bool(self._roots) and self._leaves == len(self._roots) + sum(len(p) for p, _ in self._splits)

    def _children(self) -> dict[int, tuple[int, int]]:
        return {parent: pair for parents, children in self._splits
                for parent, pair in zip(parents, zip(children[: len(parents)], children[len(parents) :], strict=True),
                                        strict=True)}


class InputTrace(_TreeTrace):
    """Cuts of the input box; `varying` (i,) are the flat indices of the inputs that vary."""

    def __init__(self, varying: np.ndarray, disjuncts: tuple[int, ...]) -> None:
        super().__init__()
        self._varying, self._disjuncts = varying, disjuncts
        self._cuts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._closed: list[np.ndarray] = []

    def split(self, parents: Domains, children: Domains) -> None:
        super().split(parents, children)
        axis = parents.data["axis"]
        # The first children end where the second ones begin.
        middle = children.data["x_upper"][: len(parents)].gather(1, axis.unsqueeze(1)).squeeze(1)
        box = torch.stack([parents.data["x_lower"], parents.data["x_upper"]], 1)
        self._cuts.append((_array(axis), _array(middle), _array(box)))

    def closed(self, domains: Domains, margins: Tensor) -> None:
        super().closed(domains, margins)
        self._closed.append(_array(domains.id))

    def trees(self) -> list[TreeRecord]:
        """One tree for all disjuncts."""
        splits = {}
        for (parents, _), (axis, middle, boxes) in zip(self._splits, self._cuts, strict=True):
            cuts = zip(self._varying[axis].tolist(), middle.tolist(), boxes, strict=True)
            records = (SplitRecord(INPUT, index, at, self._varying, box) for index, at, box in cuts)
            splits.update(zip(parents, records, strict=True))
        leaves = dict.fromkeys(np.concatenate(self._closed).tolist(), PLAIN)
        return [TreeRecord("input", self._disjuncts, self._roots[0], splits, self._children(), leaves)]


class ReluTrace(_TreeTrace):
    """ReLU splits over the columns `neurons`; one tree per disjunct. `rows`: per disjunct, the rows of its constraints.
    """

    def __init__(self, neurons: Neurons, rows: tuple[tuple[int, ...], ...], smooth: bool) -> None:
        super().__init__()
        self._neurons, self._rows, self._smooth = neurons, rows, smooth
        self._disjuncts: list[int] = []
        self._decisions: list[np.ndarray] = []
        self._evidence: dict[int, LeafRecord] = {}

    def roots(self, domains: Domains) -> None:
        super().roots(domains)
        self._disjuncts = domains.data["disjunct"].tolist()

    def split(self, parents: Domains, children: Domains) -> None:
        super().split(parents, children)
        self._decisions.append(_array(parents.data["decision"]))

    def closed(self, domains: Domains, margins: Tensor) -> None:
        super().closed(domains, margins)
        data = domains.data
        params = DualParams(data["alpha"], data["upper"], data["beta"], data["weights"])
        rows = [self._rows[d] for d in data["disjunct"].tolist()]
        found = leaf_records(params, rows, self._smooth, _array(data["signs"]))
        self._evidence.update(zip(domains.id.tolist(), found, strict=True))

    def trees(self) -> list[TreeRecord]:
        """One tree per root."""
        columns = [SplitRecord(*at) for at in zip(self._neurons.layer.tolist(), self._neurons.index.tolist(),
                                                  strict=True)]
        splits = {parent: columns[column] for (parents, _), decision in zip(self._splits, self._decisions, strict=True)
                  for parent, column in zip(parents, decision.tolist(), strict=True)}
        children = self._children()
        return [self._tree(root, disjunct, splits, children)
                for root, disjunct in zip(self._roots, self._disjuncts, strict=True)]

    def _tree(self, root: int, disjunct: int, splits: dict, children: dict) -> TreeRecord:
        stack, inner, leaves = [root], [], {}
        while stack:
            node = stack.pop()
            if node in children:
                inner.append(node)
                stack += children[node]
            else:
                leaves[node] = self._evidence[node]
        return TreeRecord("relu", (disjunct,), root, {k: splits[k] for k in inner}, {k: children[k] for k in inner},
                          leaves, self._neurons)


def leaf_records(params: DualParams, rows: list[tuple[int, ...]], smooth: bool, signs: np.ndarray | None = None
                 ) -> list[LeafRecord]:
    """The evidence of n leaves; `rows` per leaf, `signs` (n, u)."""
    alpha, beta, weights = quantised(params.alpha), _array(params.beta.float()), _array(params.weights.float())
    upper = quantised(params.upper) if smooth else [None] * len(rows)
    found = []
    for k, own in enumerate(rows):
        columns = np.flatnonzero(signs[k]) if signs is not None else np.zeros(0, dtype=np.int64)
        kept = signs[k][columns] if signs is not None else np.zeros(0, dtype=np.int8)
        found.append(LeafRecord(alpha[k], upper[k], columns, kept, beta[k][columns], _per_constraint(weights[k], own)))
    return found


def _per_constraint(weights: np.ndarray, rows: tuple[int, ...]) -> np.ndarray:
    """Row weights as weights of a disjunct's constraints; of constraints that share a row the first one gets all."""
    seen: set[int] = set()
    own = weights[list(rows)].copy()
    for k, row in enumerate(rows):
        if row in seen:
            own[k] = 0.0
        seen.add(row)
    return own


class CaseRecorder:
    """Watches one case: the root's bounds (`verify.bounds.root.RootTrace`) and every search that is started."""

    def __init__(self, number: int, query: Query) -> None:
        self.number = number
        self._positions = {node.name: k for k, node in enumerate(query.graph.nonlinear)}
        self._rows, self._varying = row_numbers(query.case), query.varying
        self._plain: set[int] = set()
        self._combined: dict[int, tuple[Neurons, LeafRecord]] = {}
        self._refinements: list[RefinementRecord] = []
        self._round, self._last, self._bytes, self._truncated = 0, (-1, -1), 0, False
        self._searches: list[InputTrace | ReluTrace] = []

    def neurons(self, network: CompactNetwork) -> Neurons:
        """What the columns of `network` are."""
        layers = [np.full(layer.size, self._positions[layer.node]) for layer in network.layers]
        indices = [_array(layer.neurons) for layer in network.layers]
        none = np.zeros(0, dtype=np.int64)
        return Neurons(np.concatenate([none, *layers]), np.concatenate([none, *indices]))

    def bounded(self, margins: Tensor) -> None:
        self._plain |= set((margins > 0).nonzero().squeeze(1).tolist())

    def combined(self, network: CompactNetwork, disjuncts: Tensor, params: DualParams, margins: Tensor) -> None:
        neurons = self.neurons(network)
        good = (margins > 0).nonzero().squeeze(1)
        numbers = disjuncts[good].tolist()
        found = leaf_records(params[good], [self._rows[d] for d in numbers], not network.relu_only)
        self._combined.update((d, (neurons, leaf)) for d, leaf in zip(numbers, found, strict=True))

    def refined(self, network: CompactNetwork, layer: CompactLayer, rows: Tensor, params: DualParams, found: Interval
                ) -> None:
        position, smooth = self._positions[layer.node], not network.relu_only
        at = (position, int(rows[0]))
        self._round += at <= self._last
        self._last = at
        size = params.alpha.numel() * (2 if smooth else 1)
        if self._bytes + size > MOST_BYTES:
            self._truncated = True
            return
        self._bytes += size
        bounds, before = (np.stack([_array(low.double()), _array(high.double())]) for low, high in
                          ((found.lower, found.upper), (layer.lower[rows], layer.upper[rows])))
        self._refinements.append(RefinementRecord(
            self._round, position, _array(layer.neurons[rows]), self.neurons(network), quantised(params.alpha),
            quantised(params.upper) if smooth else None, bounds, before))

    def input_tree(self, open_disjuncts: Tensor) -> InputTrace:
        """The trace of a search that cuts boxes, for the open disjuncts (D,) together."""
        self._searches.append(InputTrace(self._varying, tuple(open_disjuncts.nonzero().squeeze(1).tolist())))
        return self._searches[-1]

    def relu_tree(self, network: CompactNetwork) -> ReluTrace:
        """The trace of a search that splits the ReLUs of `network`."""
        self._searches.append(ReluTrace(self.neurons(network), self._rows, not network.relu_only))
        return self._searches[-1]

    def record(self) -> CaseRecord | None:
        """The evidence for all disjuncts, None if some disjunct has none."""
        done = next((search for search in self._searches if search.complete), None)
        trees = [] if done is None else done.trees()
        left = set(range(len(self._rows))) - {d for tree in trees for d in tree.disjuncts}
        plain = sorted(left & self._plain)
        if plain:
            trees.append(TreeRecord("root", tuple(plain), 0, {}, {}, {0: PLAIN}))
        for disjunct in sorted(left - self._plain):
            if disjunct not in self._combined:
                return None
            neurons, leaf = self._combined[disjunct]
            trees.append(TreeRecord("root", (disjunct,), 0, {}, {}, {0: leaf}, neurons))
        lemmas = tuple(self._refinements) if any(tree.neurons is not None for tree in trees) else ()
        return CaseRecord(self.number, tuple(trees), lemmas, self._truncated)


class Recorder:
    """Collects the records of a property's cases. The one mutable object among an engine's settings."""

    def __init__(self) -> None:
        self._records: dict[int, CaseRecord] = {}
        self._current: CaseRecorder | None = None

    @property
    def current(self) -> CaseRecorder:
        """Who watches the case that is being decided."""
        if self._current is None:
            raise BrokenInvariant("the recorder watches no case; begin(number, query) comes before the engine")
        return self._current

    def begin(self, number: int, query: Query) -> None:
        """Case `number` is decided now, from scratch."""
        self._records.pop(number, None)
        self._current = CaseRecorder(number, query)

    def end(self, verified: bool) -> None:
        """The case is done."""
        record = self._current.record() if verified and self._current is not None else None
        if record is not None:
            self._records[record.case] = record
        self._current = None

    def settled(self, number: int, disjuncts: int) -> None:
        """Case `number` needed no engine: plain bounds of its box prove all `disjuncts`; none are left in an empty box.
        """
        leaf = TreeRecord("root", tuple(range(disjuncts)), 0, {}, {}, {0: PLAIN})
        self._records[number] = CaseRecord(number, (leaf,) if disjuncts else ())

    def recording(self, cases: int) -> Recording | None:
        """The records of all `cases`, or None while one is missing."""
        if any(number not in self._records for number in range(cases)):
            return None
        return Recording(tuple(self._records[number] for number in range(cases)))
