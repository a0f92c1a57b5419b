"""Writes the proof of a verified property: the recorded trees, evaluated again in the checker's own arithmetic.

The recording of a search (`verify.certificate.recorder`) is only a guide. The writer walks its trees with the checker's
functions and gives every leaf the cheapest evidence that the checker accepts; a leaf for which there is none is split
again (`verify.certificate.emit.leaves`). So what is written has been checked once, and nothing that the search computed
needs to be right or accurate. The file is written under another name and renamed when it is complete.

Any multipliers give a valid bound (weak duality), so evidence may be lossy. The format: docs/certificates.md.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verify import __version__
from verify.budget import Budget
from verify.certificate.checker import check, nodes
from verify.certificate.checker.arithmetic import Float64
from verify.certificate.checker.collapse import Collapser
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import Network, load_network
from verify.certificate.checker.nodes import Context, Domain, Leaf
from verify.certificate.checker.rows import float_rows, is_empty, outer_box, unique_rows
from verify.certificate.checker.spec import Case, Row, read_spec
from verify.certificate.emit.container import write_container
from verify.certificate.emit.leaves import Leaves, least_margin
from verify.certificate.emit.pieces import Piece, input_split, relu_split, varint
from verify.certificate.emit.places import Place, RootSides, pass_flops, reduce, refresh_flops, with_lemmas
from verify.certificate.recording import INPUT, PLAIN, CaseRecord, Recording, SplitRecord, TreeRecord
from verify.errors import InvalidInput, NoProof
from verify.query import LinearConstraint, Spec

REDUCE_LEAVES = 24
"""A domain with this many leaves below may get a collapsed network of its own ..."""
REDUCE_AGAIN = 6
"""... and again whenever the number of leaves below has fallen by this factor."""

SLAB, SLAB_CUT = 0.2, 0.9
"""What clipping took from a domain becomes a leaf of its own when it is this share of the width; this much of it."""


@dataclass(frozen=True)
class Written:
    """What was written: counts (`resplit` leaves were split again), bytes of the file, and the smallest margin as the
    checker sees it."""

    trees: int
    leaves: int
    resplit: int
    bytes: int
    smallest_margin: float


def write_proof(path: Path, network: bytes, spec: bytes, asked: Spec, recording: Recording, semantics: str,
                budget: Budget, progress: Callable[[int], None] = lambda leaves: None) -> Written:
    """Writes the proof of `asked` (the prover's reading of `spec`) to `path`. `network`, `spec`: the decompressed
    files; `progress(leaves so far)` is called now and then.

    Raises `NoProof` when the checker does not support the network, when the evidence is not enough, or when the budget
    ends, and `InvalidInput` where the file cannot be written. What `path` held before is left alone then.
    """
    part = path.with_name(path.name + ".part")
    try:
        file = part.open("wb")  # first of all: evaluating the evidence may take long
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with file, np.errstate(all="ignore"):
            writer = _Writer(load_network(network), semantics == "float32", budget, progress)
            cases = read_spec(spec).cases
            body = [writer.case(case, _Counterpart.find(case, asked, recording)) for case in cases]
            header = {"claim": "unsat", "network_sha256": hashlib.sha256(network).hexdigest(),
                      "spec_sha256": hashlib.sha256(spec).hexdigest(), "semantics": semantics,
                      "tool": f"verify {__version__}", "cases": len(cases), "leaves": writer.leaves}
            write_container(file, header, (chunk for chunks in body for chunk in chunks))
        os.replace(part, path)
    except Rejected as error:
        raise NoProof(f"no proof: {error}") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)
    return Written(writer.trees, writer.leaves, writer.resplit, path.stat().st_size, writer.smallest)


def _unwritable(path: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"the proof {path} cannot be written: {error.strerror or error}")


@dataclass(frozen=True, eq=False)
class _Counterpart:
    """The record of a case of the checker's reading; per disjunct its index in the record, and per disjunct and row the
    row's place in the record's disjunct."""

    record: CaseRecord
    disjuncts: list[int]
    rows: list[list[int]]

    @classmethod
    def find(cls, case: Case, asked: Spec, recording: Recording) -> _Counterpart:
        lower, upper = outer_box(case)
        wanted = [[_row_key(row) for row in disjunct] for disjunct in case.disjuncts]
        for record in recording.cases:
            own = asked.cases[record.case]
            if not (np.array_equal(own.box.lower, lower) and np.array_equal(own.box.upper, upper)):
                continue
            theirs = [[_row_key(row) for row in disjunct] for disjunct in own.disjuncts]
            index = {frozenset(keys): d for d, keys in enumerate(theirs)}
            if all(frozenset(keys) in index for keys in wanted):
                disjuncts = [index[frozenset(keys)] for keys in wanted]
                rows = [[theirs[d].index(key) for key in keys] for d, keys in zip(disjuncts, wanted, strict=True)]
                return cls(record, disjuncts, rows)
        raise NoProof("no proof: the checker reads the property differently")


def _row_key(row: Row | LinearConstraint) -> tuple:
    """An exact row, terms of one variable added up."""
    return (*(_added(terms) for terms in (row.y, row.x)), row.constant)


def _added(terms: Iterable[tuple]) -> tuple:
    total: dict = {}
    for k, c in terms:
        total[k] = total.get(k, 0) + c
    return tuple(sorted((k, c) for k, c in total.items() if c))


class _Writer:
    """Turns recorded cases into bytes, one after the other."""

    def __init__(self, network: Network, float32: bool, budget: Budget, progress: Callable[[int], None]):
        self.network, self.float32, self.budget, self.progress = network, float32, budget, progress
        self.leaves = self.trees = self.resplit = 0
        self.smallest = float("inf")

    def case(self, case: Case, own: _Counterpart) -> Iterator[bytes]:
        """The bytes of one case."""
        if is_empty(case):
            return iter((b"\0",))
        rows, members = unique_rows(case)
        walk = Collapser(self.network, *outer_box(case), Float64, self.float32)
        net = walk.finish(float_rows(rows, len(case.lower), int(np.prod(self.network.output_shape))))
        groups, place = with_lemmas(Place(Domain(Context(net), net.x_lower, net.x_upper, (), 0), RootSides(walk)),
                                    own.record.refinements)
        parts = [b"\1" + varint(len(groups)) + b"".join(groups)]
        trees = []
        for tree in own.record.trees:
            asked = [d for d, theirs in enumerate(own.disjuncts) if theirs in tree.disjuncts]
            for mine in _together(place.domain, tree, asked, members):
                root = self._tree(place, tree, [members[d] for d in mine], own.rows[mine[0]])
                trees.append((varint(len(mine)) + b"".join(map(varint, mine)), root))
        self.trees += len(trees)
        parts.append(varint(len(trees)))
        return (chunk for head, root in [(b"".join(parts), Piece()), *trees] for chunk in (head, *root.chunks()))

    def _tree(self, place: Place, tree: TreeRecord, disjuncts: list[list[int]], order: list[int]) -> Piece:
        """The recorded tree with a proved leaf at every end."""
        before = self.leaves
        leaves = Leaves(disjuncts, order, tree, self.budget, lambda count: self.progress(before + count))
        counts = _leaf_counts(tree)
        old, root = place.domain, Piece()
        # Alpha vectors are numbered per tree: the root gets a context of its own.
        fresh = Place(Domain(Context(old.context.net), old.x_lower, old.x_upper, (), 0), place.sides)
        todo = [(root, tree.root, fresh, 10**18)]
        while todo:
            piece, key, place, since = todo.pop()
            if key in tree.leaves:
                leaves.add(piece, place.domain, tree.leaves[key])
                continue
            if counts[key] * REDUCE_AGAIN <= since and _worth_reducing(place, counts[key], tree):
                smaller = reduce(place)
                if smaller is not None:
                    piece.code, piece.children = bytes([check.REDUCE]), (Piece(),)
                    piece, place, since = piece.children[0], smaller, counts[key]
            if tree.splits[key].box is not None:
                piece, place = _without_slabs(piece, place, tree.splits[key], leaves)
            todo += reversed(_split(piece, key, place, since, tree))
        leaves.prove()
        self.leaves += leaves.count
        self.resplit += leaves.resplit
        self.smallest = min(self.smallest, leaves.smallest)
        return root


def _without_slabs(piece: Piece, place: Place, split: SplitRecord, leaves: Leaves) -> tuple[Piece, Place]:
    """Cuts off what the search had clipped away before it cut the domain: such a slab is a leaf, proved by nearly the
    bounds that clipped it. The cut keeps a little of it, because those bounds are 0 at its end."""
    for axis, low, high in zip(split.axes, *split.box, strict=True):
        for below in (True, False):
            domain = place.domain
            start, end = domain.x_lower[axis], domain.x_upper[axis]
            gone = low - start if below else end - high
            if not gone > SLAB * (end - start):
                continue
            at = start + SLAB_CUT * gone if below else end - SLAB_CUT * gone
            piece.code, parts = input_split(domain, int(axis), float(at))
            piece.children = (Piece(), Piece())
            leaves.add(piece.children[0 if below else 1], parts[0 if below else 1], PLAIN)
            piece, place = piece.children[1 if below else 0], Place(parts[1 if below else 0], place.sides)
    return piece, place


def _split(piece: Piece, key: int, place: Place, since: int, tree: TreeRecord) -> list[tuple]:
    """Writes a recorded split into `piece`; one that is none in the checker's terms is passed over."""
    split, (first, second) = tree.splits[key], tree.children[key]
    domain = place.domain
    if split.layer == INPUT:
        i, t = split.index, split.threshold
        if not domain.x_lower[i] < t < domain.x_upper[i]:
            return [(piece, first if t >= domain.x_upper[i] else second, place, since)]
        code, children = input_split(domain, i, t)
    else:
        column = nodes.column_of(domain.context.net, split.layer, split.index)
        side = place.sides[split.layer, split.index] if column is None else int(domain.signs()[column])
        if side:
            return [(piece, first if side > 0 else second, place, since)]
        code, children = relu_split(domain, column)
    piece.code, piece.children = code, (Piece(), Piece())
    return [(part, child, Place(where, place.sides), since)
            for part, child, where in zip(piece.children, (first, second), children, strict=True)]


def _together(domain: Domain, tree: TreeRecord, asked: list[int], members: list[list[int]]) -> list[list[int]]:
    """The disjuncts `asked` of a recorded tree in groups, one tree for each group.

    What bounds of the whole box proved in the search, the checker's may miss by little. Each such disjunct gets a tree
    of its own, whose ReLUs can be split; disjuncts that share a tree can only have their box cut.
    """
    if tree.mode != "root" or len(asked) < 2:
        return [asked] if asked else []
    plain = Leaf(domain, False, None, None, None)
    net, least = domain.context.net, least_margin(domain.context.net)
    proved = [d for d in asked if nodes.margins(net, [plain], [members[d]])[0] > least]
    return ([proved] if proved else []) + [[d] for d in asked if d not in proved]


def _leaf_counts(tree: TreeRecord) -> dict[int, int]:
    """Leaves below every node."""
    counts = dict.fromkeys(tree.leaves, 1)
    stack = [tree.root]
    while stack:
        key = stack[-1]
        missing = [] if key in counts else [child for child in tree.children[key] if child not in counts]
        stack += missing
        if not missing:
            stack.pop()
            if key not in counts:
                counts[key] = sum(counts[child] for child in tree.children[key])
    return counts


def _worth_reducing(place: Place, leaves: int, tree: TreeRecord) -> bool:
    """Whether a smaller network for this many leaves saves more than it costs: all bounds are computed once for it."""
    net = place.domain.context.net
    if leaves < REDUCE_LEAVES or net.unstable < 8:
        return False
    return tree.mode == "input" or leaves * pass_flops(net) > refresh_flops(net)
