"""How rules are applied: non-overlapping matches in one pass, aliases, the same object when nothing matches."""

from __future__ import annotations

import torch

from tests.verify.onnx_import.graphs import chain
from verify.onnx_import.rewrite import Match, apply_everywhere, fresh, sole_producer
from verify.ops import Add, Affine, Relu


def test_nothing_matched_is_the_same_graph():
    graph = chain((3,), Relu())
    assert apply_everywhere(graph, lambda graph, node: None) is graph


def test_aliases_follow_each_other_to_the_output():
    graph = chain((3,), Affine(), Affine(), Affine())
    dropped = apply_everywhere(graph, lambda g, node: Match(node, alias=node.inputs[0]) if node.inputs else None)
    assert [node.name for node in dropped.nodes] == ["x"] and dropped.output == "x"


def test_overlapping_matches_wait_for_the_next_pass():
    graph = chain((3,), Relu(), Relu(), Relu())
    seen = []

    def rule(graph, node):
        first = sole_producer(graph, node)
        if first is None or first.name == "x":
            return None
        seen.append(node.name)
        return Match(node, (type(node)(node.name, Relu(), first.inputs, node.shape),), uses=(first,))

    once = apply_everywhere(graph, rule)
    assert len(once.nodes) == 3 and len(apply_everywhere(once, rule).nodes) == 2 and seen == ["n2", "n3", "n3"]
    x = torch.tensor([[-1.0, 0.0, 2.0]], dtype=torch.float64)
    assert torch.equal(once.evaluate(x), graph.evaluate(x))


def test_sole_producer_needs_one_reader_that_is_not_the_output():
    graph = chain((3,), Relu(), (Add(), ("n1", "n1")))
    assert sole_producer(graph, graph["n2"]) is None and sole_producer(graph, graph["n1"]).name == "x"
    assert fresh(graph, "n1") == "n1'" and fresh(graph, "new") == "new"
