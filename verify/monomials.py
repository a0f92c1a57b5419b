"""Products of inputs and outputs as nodes of the graph, so that polynomial conditions are rows like all others.

A monomial  prod_k v_k^p_k  over distinct variables v_k is computed as powers first (one `Power` node for each exponent,
over all variables that need it), then as a chain of products, one `Product` node for the second factors of all
monomials, one for the third, and so on. The nodes are exact (no rounding of an execution belongs to them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from verify.graph import Node
from verify.ops import Concat, Gather, Product
from verify.ops.power import Power

Monomial = tuple[tuple[str, int], ...]
"""Factors, with repetition: ("x", i) an input, ("y", j) an output."""


def monomial_nodes(monomials: Sequence[Monomial], inputs: int, outputs: int) -> list[Node]:
    """Nodes that compute `monomials` from the flat nodes "spec:y" (outputs) and "spec:x" (inputs); the last one has
    shape (len(monomials),) and their order."""
    nodes = [Node("spec:factors", Concat(0), ("spec:y", "spec:x"), (outputs + inputs,))]
    base = {("y", j): j for j in range(outputs)} | {("x", i): outputs + i for i in range(inputs)}
    factors = [sorted(Counter(base[variable] for variable in monomial).items()) for monomial in monomials]
    column = {(k, 1): k for k in range(outputs + inputs)}
    powers = sorted({(p, k) for monomial in factors for k, p in monomial if p > 1})
    blocks = ["spec:factors"]
    for exponent in sorted({p for p, _ in powers}):
        of = [k for p, k in powers if p == exponent]
        nodes += _gathered(f"spec:base{exponent}", "spec:factors", of)
        blocks.append(f"spec:power{exponent}")
        nodes.append(Node(blocks[-1], Power(exponent), (nodes[-1].name,), (len(of),)))
        column |= {(k, exponent): len(column) + at for at, k in enumerate(of)}
    if len(blocks) > 1:
        nodes.append(Node("spec:powers", Concat(0), tuple(blocks), (len(column),)))
    return nodes + _products([[column[factor] for factor in monomial] for monomial in factors], nodes[-1].name)


def _products(factors: list[list[int]], source: str) -> list[Node]:
    """The products of entries of `source`, factor by factor; monomials drop out of the chain when they are complete."""
    nodes = _gathered("spec:product1", source, [monomial[0] for monomial in factors])
    done, active, position = [nodes[-1].name], list(range(len(factors))), list(range(len(factors)))
    width = len(factors)
    for step in range(1, max(map(len, factors))):
        previous = nodes[-1]
        kept = [m for m in active if len(factors[m]) > step]
        nodes += _gathered(f"spec:left{step + 1}", previous.name, [active.index(m) for m in kept])
        left = nodes[-1].name
        nodes += _gathered(f"spec:right{step + 1}", source, [factors[m][step] for m in kept])
        nodes.append(Node(f"spec:product{step + 1}", Product(), (left, nodes[-1].name), (len(kept),)))
        for at, m in enumerate(kept):
            position[m] = width + at
        done.append(nodes[-1].name)
        width, active = width + len(kept), kept
    if len(done) == 1:
        return nodes
    nodes.append(Node("spec:all_products", Concat(0), tuple(done), (width,)))
    return nodes + _gathered("spec:monomials", "spec:all_products", position)


def _gathered(name: str, source: str, entries: list[int]) -> list[Node]:
    """A node that holds the named entries of a flat node."""
    return [Node(name, Gather(torch.tensor(entries, dtype=torch.int64)), (source,), (len(entries),))]
