"""Synonyms: the classifier reads a sentence as one embedding vector per position, and every position may hold any of a
set of vectors (the word and its synonyms).

    few sentences    every one is a piece (a point)
    many             x_i = sum_k s_ik E_ik,   s_ik >= 0,  sum_k s_ik = 1:   the convex hull at every position

The hull's simplex coordinates s are the input of an affine layer. Only its vertices, the sentences, count as
witnesses; a proof holds for the hull. References: Jia et al., "Certified Robustness to Adversarial Word Substitutions",
2019; Ye et al. (SAFER), 2020.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from verify.errors import InvalidInput, ShapeMismatch
from verify.query import InputBox, LinearConstraint, Numbers
from verify.specs.front import Affine
from verify.specs.numbers import Array, floats
from verify.specs.region import Piece, Region, Rows, box_of, members_only

FEW_SENTENCES = 1024
ONE = Fraction(1)


def synonyms(embeddings: Sequence[Array], words: Sequence[Sequence[str]] | None = None,
             few: int = FEW_SENTENCES) -> Region:
    """embeddings: for each position an array (choices, d), the original first; words: their names, for the report.
    `few`: up to this many sentences are taken one by one."""
    sets = _checked(embeddings)
    if words is not None and [len(names) for names in words] != [len(vectors) for vectors in sets]:
        raise ShapeMismatch(f"words has {[len(names) for names in words]} choices, embeddings "
                            f"{[len(vectors) for vectors in sets]}")
    count = math.prod(len(vectors) for vectors in sets)
    return _sentences(sets, words) if count <= few else _hull(sets, words, count)


def _checked(embeddings: Sequence[Array]) -> list[np.ndarray]:
    if not len(embeddings):
        raise InvalidInput("embeddings is empty; a sentence has at least one position")
    sets = []
    for k, vectors in enumerate(embeddings):
        if not len(vectors):
            raise InvalidInput(f"position {k} has no words; give at least the original one")
        found = floats(vectors, f"embeddings[{k}]")
        if found.ndim != 2 or found.shape[1:] != (sets[0] if sets else found).shape[1:]:
            raise ShapeMismatch(f"embeddings[{k}] has shape {list(found.shape)}, expected (choices, "
                                f"{sets[0].shape[1] if sets else 'd'})")
        sets.append(found)
    return sets


def _sentences(sets: list[np.ndarray], words: Sequence[Sequence[str]] | None) -> Region:
    pieces = []
    for choice in itertools.product(*(range(len(vectors)) for vectors in sets)):
        point = np.concatenate([vectors[k] for vectors, k in zip(sets, choice, strict=True)])
        pieces.append(Piece(InputBox.from_floats(point, point)))

    def describe(x: np.ndarray) -> str:
        parts = x.reshape(len(sets), -1)
        return _text([int(np.abs(vectors - part).sum(1).argmin())
                      for vectors, part in zip(sets, parts, strict=True)], words)

    return Region("synonyms", (1, len(sets), sets[0].shape[1]), tuple(pieces), describe=describe)


def _hull(sets: list[np.ndarray], words: Sequence[Sequence[str]] | None, count: int) -> Region:
    sizes = [len(vectors) for vectors in sets]
    groups = groups_of(sizes)
    basis = np.zeros((sum(sizes), sum(vectors.shape[1] for vectors in sets)))
    width = sets[0].shape[1]
    for i, (group, vectors) in enumerate(zip(groups, sets, strict=True)):
        basis[group, i * width : (i + 1) * width] = vectors
    rows = (*itertools.chain.from_iterable(sum_to_one(group) for group in groups),
            members_only(lambda s: all(is_vertex(s, group) for group in groups)))
    limits = [(0 * ONE if size > 1 else ONE, ONE) for size in sizes for _ in range(size)]

    def snap(s: np.ndarray) -> np.ndarray:
        found = np.zeros(s.size)
        for group in groups:
            found[group.start + int(np.argmax(s[group]))] = 1.0
        return found

    return Region("synonyms", (1, len(sets), width), (Piece(box_of(limits), rows),),
                  front=Affine(np.zeros(basis.shape[1]), (basis,)), snap=snap,
                  describe=lambda s: _text([int(np.argmax(s[group])) for group in groups], words),
                  note=f"a proof holds for all mixtures of the {count} sentences, only sentences are counterexamples")


def groups_of(sizes: Sequence[int]) -> list[slice]:
    """Consecutive groups of entries."""
    ends = list(itertools.accumulate(sizes, initial=0))
    return [slice(begin, end) for begin, end in itertools.pairwise(ends)]


def sum_to_one(group: slice) -> Rows:
    """The entries of a group sum to 1: two rows."""
    entries = range(group.start, group.stop)
    return tuple(LinearConstraint((), -sign * ONE, tuple((k, sign * ONE) for k in entries)) for sign in (1, -1))


def is_vertex(s: Numbers, group: slice) -> bool:
    """Exactly one entry of the group is 1, all others 0."""
    values = [s[k] for k in range(group.start, group.stop)]
    return sum(v == 1 for v in values) == 1 and sum(v == 0 for v in values) == len(values) - 1


def _text(choice: Sequence[int], words: Sequence[Sequence[str]] | None) -> str:
    if words is None:
        return "choices " + " ".join(map(str, choice))
    return " ".join(names[k] for names, k in zip(words, choice, strict=True))
