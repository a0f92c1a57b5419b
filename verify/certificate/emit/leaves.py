"""Evidence for the leaves of one tree: the cheapest that the checker's own evaluation accepts.

In turn: default lines with the bounds of neurons computed again on the leaf (all that a cut box needs), slopes that
another leaf has sent, the recorded slopes and multipliers, combinations of rows, and at last more splits, with
multipliers optimised on the checker's own collapsed network (`verify.certificate.emit.strengthen`). Every bound here is
`nodes.margins`, the checker's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from verify.budget import Budget
from verify.certificate.checker import nodes
from verify.certificate.checker.collapse import Collapsed
from verify.certificate.checker.nodes import Context, Domain, Leaf
from verify.certificate.emit.joint import RowForms
from verify.certificate.emit.pieces import Piece, input_split, relu_split, rounded
from verify.certificate.emit.places import Columns, pass_flops, refresh_flops
from verify.certificate.recorder import LeafRecord, TreeRecord
from verify.errors import NoProof

CHEAP_REFRESH = 40
"""Bounds of neurons are computed again on a leaf if that costs at most as much as this many of its passes; otherwise
only when nothing else proves it."""

TRIALS, WORTH = 64, 0.1
"""After this many trials a kind of evidence that proves less than this share is left out."""

CLEAR = 2.0**-46
"""Margins must be above this share of what the rows' sums may reach: sums in another order, in the checker's batches or
on another machine, move a bound a little, and it must be positive there, too."""

Attempt = Callable[[Leaf], Leaf | None]


@dataclass(frozen=True, eq=False)
class Item:
    """A leaf on its way: where it goes, and the evidence that it has so far (not yet proved)."""

    piece: Piece
    leaf: Leaf


class Leaves:
    """The leaves of one tree. `disjuncts`: row indices; `order`: for each row of the first disjunct its place in the
    recorded weights; `watch(leaves so far)` is called after every batch. After `prove`: how many leaves, how many
    had to be split again, the smallest margin."""

    def __init__(self, disjuncts: list[list[int]], order: list[int], tree: TreeRecord, budget: Budget,
                 watch: Callable[[int], None] = lambda leaves: None):
        self.disjuncts, self.order, self.tree, self.budget, self.watch = disjuncts, order, tree, budget, watch
        self.waiting: dict[int, tuple[Context, list[tuple[Piece, Domain, LeafRecord]]]] = {}
        self.count = self.resplit = 0
        self.smallest = float("inf")
        self.seen: dict[str, list[int]] = {}

    def add(self, piece: Piece, domain: Domain, record: LeafRecord) -> None:
        self.waiting.setdefault(id(domain.context), (domain.context, []))[1].append((piece, domain, record))

    def prove(self) -> None:
        """Proves all leaves. Raises `NoProof`."""
        for context, found in self.waiting.values():
            columns = Columns(context.net, self.tree.neurons)
            items = [Item(piece, self._recorded(columns, domain, record)) for piece, domain, record in found]
            self._prove(context, items)
        self.waiting = {}

    def _recorded(self, columns: Columns, domain: Domain, record: LeafRecord) -> Leaf:
        """The recorded evidence in the checker's terms."""
        alpha = beta = weights = None
        if record.alpha is not None:
            alpha = columns.pack(record.alpha[None], None if record.upper is None else record.upper[None])[0]
        if record.weights is not None and len(self.disjuncts) == 1:
            weights = np.where(np.isfinite(record.weights), record.weights, 0.0)[self.order]
        scale = 1.0
        if weights is not None and (len(weights) == 1 or not weights.any()):
            # One row: its weight is 1, and the multipliers are in its units.
            scale, weights = 1 / max(float(weights.max(initial=0)), 1e-30), None
        if record.beta is not None:
            beta = self._betas(columns, domain, record) * scale
        return with_multipliers(Leaf(domain, False, alpha, None, None), beta, weights)

    def _betas(self, columns: Columns, domain: Domain, record: LeafRecord) -> np.ndarray:
        """Recorded multipliers over the split columns of a domain."""
        target = np.full(len(self.tree.neurons), -1)
        target[columns.source] = columns.target
        signs, value = domain.signs(), np.zeros(columns.net.unstable)
        at = target[record.columns]
        here = np.flatnonzero(at >= 0)
        fits = here[signs[at[here]] == record.signs[here]]
        value[at[fits]] = record.beta[fits]
        return value[domain.split_columns()]

    def _prove(self, context: Context, items: list[Item]) -> None:
        """All leaves of one context, in batches; what fails everywhere is split again."""
        size = nodes.batch_size(context.net)
        sent: list[np.ndarray] = []
        attempts = self._attempts(context.net, sent)
        while items:
            if self.budget.expired:
                raise NoProof("no proof: the time limit ended its writing")
            # The first leaf alone: the others may do with its slopes.
            count = size if sent or items[0].leaf.alpha is None else 1
            batch, items = items[:count], items[count:]
            for name, attempt in attempts.items():
                batch = self._try(context.net, batch, name, attempt, sent)
            self.watch(self.count)
            if batch:
                self.resplit += len(batch)
                items = [*self._split_again(context, batch, sent), *items]

    def _attempts(self, net: Collapsed, sent: list[np.ndarray]) -> dict[str, Attempt]:
        """Kinds of evidence in the order in which they are tried; None where one does not apply to a leaf."""
        cheap = refresh_flops(net) <= CHEAP_REFRESH * pass_flops(net)

        def smaller(leaf: Leaf) -> bool:
            domain = leaf.domain
            return bool(domain.path) or not (np.array_equal(domain.x_lower, net.x_lower)
                                             and np.array_equal(domain.x_upper, net.x_upper))

        def default(leaf: Leaf) -> Leaf | None:
            return replace(leaf, alpha=None, refresh=smaller(leaf)) if cheap or not smaller(leaf) else None

        def shared(leaf: Leaf) -> Leaf | None:
            return replace(leaf, alpha=sent[-1], refresh=cheap and smaller(leaf)) if sent else None

        def own(leaf: Leaf) -> Leaf | None:
            return None if leaf.alpha is None else replace(leaf, refresh=cheap and smaller(leaf))

        def thorough(leaf: Leaf) -> Leaf | None:
            return replace(leaf, refresh=True) if smaller(leaf) and not cheap else None

        return {"default": default, "shared": shared, "own": own, "thorough": thorough}

    def _try(self, net: Collapsed, items: list[Item], name: str, attempt: Attempt, sent: list[np.ndarray]
             ) -> list[Item]:
        """Proves what one kind of evidence proves, and returns the rest."""
        tried, proved = self.seen.setdefault(name, [0, 0])
        if name == "default" and tried >= TRIALS and proved < WORTH * tried and any(i.leaf.alpha is not None
                                                                                     for i in items):
            return items
        leaves = [attempt(item.leaf) for item in items]
        found = evaluated(net, leaves, self.disjuncts)
        good = found > least_margin(net)
        for item, leaf, margin, accepted in zip(items, leaves, found, good, strict=True):
            if accepted:
                item.piece.leaf = leaf
                self.count += 1
                self.smallest = min(self.smallest, float(margin))
                if name in ("own", "thorough") and leaf.alpha is not None:
                    sent[:] = [leaf.alpha]
        self.seen[name] = [tried + len(items), proved + int(good.sum())]
        return [item for item, accepted in zip(items, good, strict=True) if not accepted]

    def _split_again(self, context: Context, items: list[Item], sent: list[np.ndarray]) -> list[Item]:
        """Leaves that nothing proved: rows combined, multipliers optimised, and what that does not prove split."""
        net = context.net
        if self.tree.mode == "input" or len(self.disjuncts) != 1:
            return self._cut_again(net, items, sent)
        from verify.certificate.emit.strengthen import strengthened

        better, columns = strengthened(net, [item.leaf for item in items], self.disjuncts[0], self.budget)
        items = [Item(item.piece, leaf) for item, leaf in zip(items, better, strict=True)]
        left = self._try(net, items, "strengthened", lambda leaf: leaf, sent)
        column = {id(item): c for item, c in zip(items, columns, strict=True)}
        return [part for item in left for part in self._parts(item, column[id(item)])]

    def _cut_again(self, net: Collapsed, items: list[Item], sent: list[np.ndarray]) -> list[Item]:
        """Boxes whose rows, each alone, prove nothing: rows combined, and what that does not prove cut where the rows
        change most."""
        forms = RowForms.of(net, [item.leaf.domain for item in items], self.disjuncts)
        axis = {id(item.piece): int(k) for item, k in zip(items, forms.widest_effects(self.disjuncts), strict=True)}
        items = [Item(item.piece, replace(item.leaf, refresh=True, weights=weights))
                 for item, weights in zip(items, forms.joint_weights(self.disjuncts), strict=True)]
        left = self._try(net, items, "combined", lambda leaf: leaf if leaf.weights else None, sent)
        return [half for item in left for half in self._halves(item, axis[id(item.piece)])]

    def _halves(self, item: Item, index: int) -> list[Item]:
        """The leaf cut in the middle of an input."""
        domain = item.leaf.domain
        middle = domain.x_lower[index] + (domain.x_upper[index] - domain.x_lower[index]) / 2
        if not domain.x_lower[index] < middle < domain.x_upper[index]:
            raise NoProof("no proof: a leaf's margin is too small for the checker's arithmetic")
        code, children = input_split(domain, index, middle)
        return _children(item, code, [replace(item.leaf, domain=child, weights=None) for child in children])

    def _parts(self, item: Item, column: int | None) -> list[Item]:
        """The leaf with one more ReLU split, whose multiplier starts at 0; without unsplit ReLUs, with a cut."""
        if column is None:
            forms = RowForms.of(item.leaf.domain.context.net, [item.leaf.domain], self.disjuncts)
            return self._halves(item, int(forms.widest_effects(self.disjuncts)[0]))
        code, children = relu_split(item.leaf.domain, column)
        beta = item.leaf.beta
        longer = None if beta is None else np.append(beta, 0.0)
        return _children(item, code, [replace(item.leaf, domain=child, beta=longer) for child in children])


def _children(item: Item, code: bytes, leaves: Sequence[Leaf]) -> list[Item]:
    item.piece.code, item.piece.children = code, (Piece(), Piece())
    return [Item(piece, leaf) for piece, leaf in zip(item.piece.children, leaves, strict=True)]


def with_multipliers(leaf: Leaf, beta: np.ndarray | None, weights: np.ndarray | None) -> Leaf:
    """The leaf with multipliers as they will be read: bfloat16, left out where they are all 0."""
    beta = None if beta is None else rounded(beta)
    return replace(leaf, beta=beta if beta is not None and beta.any() else None,
                   weights=None if weights is None else [rounded(weights)])


def least_margin(net: Collapsed) -> float:
    """What a margin must exceed."""
    return CLEAR * float((np.abs(net.weight) @ net.reach + np.abs(net.bias)).max(initial=0))


def evaluated(net: Collapsed, leaves: Sequence[Leaf | None], disjuncts: list[list[int]]) -> np.ndarray:
    """Margins of leaves of any kind, in batches of one kind; -inf for None and for what is no finite number."""
    found = np.full(len(leaves), -np.inf)
    kinds: dict[tuple[bool, bool], list[int]] = {}
    for k, leaf in enumerate(leaves):
        if leaf is not None:
            kinds.setdefault((leaf.refresh, leaf.weights is None), []).append(k)
    for members in kinds.values():
        found[members] = nodes.margins(net, [leaves[k] for k in members], disjuncts)
    return np.where(np.isnan(found), -np.inf, found)
