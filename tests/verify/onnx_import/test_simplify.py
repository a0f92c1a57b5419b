"""Each rewrite alone, and the fixpoint."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from tests.verify.onnx_import.graphs import chain, kinds, same_function, tensor
from verify.graph import Graph, Node
from verify.onnx_import import simplify as public
from verify.onnx_import.simplify import (
    drop_identities,
    fold_affine_into_linear,
    lower_affines,
    merge_affines,
    merge_linear_chains,
    merge_reshapes,
    remove_dead_nodes,
    simplify,
)
from verify.ops import Add, Affine, Concat, Conv, ConvTranspose, Gather, Input, Linear, Relu, Reshape, Transpose
from verify.query import Case, InputBox, LinearConstraint, Spec, lower


def test_remove_dead_nodes():
    graph = chain((3,), Relu(), (Affine(tensor(3)), ("x",)))
    assert kinds(remove_dead_nodes(graph)) == ["Affine"]
    clean = chain((3,), Relu())
    assert remove_dead_nodes(clean) is clean and public is simplify


@pytest.mark.parametrize(
    "op",
    [
        Reshape((2, 3)),
        Transpose((0, 1)),
        Affine(),
        Affine(torch.ones(3), torch.zeros(1)),
        Concat(0),
        Gather(torch.arange(6).reshape(2, 3)),
    ],
)
def test_drop_identities(op):
    graph = chain((2, 3), Relu(), op, Relu())
    assert kinds(drop_identities(graph)) == ["Relu", "Relu"] and drop_identities(graph).output == "n3"


@pytest.mark.parametrize(
    "op",
    [
        Reshape((3, 2)),
        Transpose((1, 0)),
        Affine(torch.tensor(2.0)),
        Affine(None, torch.tensor(1.0)),
        Affine(None, torch.zeros(3), torch.ones(3)),
        Gather(torch.tensor([[0, 1, 2], [3, 4, -1]])),
        Gather(torch.tensor([[0, 1, 2], [3, 5, 4]])),
    ],
)
def test_what_is_no_identity_stays(op):
    graph = chain((2, 3), op)
    assert drop_identities(graph) is graph


def test_merge_reshapes():
    graph = chain((2, 6), Reshape((3, 4)), Reshape((12,)))
    assert kinds(merge_reshapes(graph)) == ["Reshape"] and same_function(graph, merge_reshapes(graph))
    shared = chain((2, 6), Reshape((12,)), Reshape((3, 4)), (Reshape((12,)), ("n2",)), (Add(), ("n1", "n3")))
    assert same_function(shared, simplify(shared)) and kinds(simplify(shared)) == ["Reshape", "Reshape", "Add"]


def test_transpose_of_empty_axes_becomes_a_reshape():
    graph = chain((1, 3, 1, 4), Transpose((1, 0, 3, 2)))
    assert kinds(merge_reshapes(graph)) == ["Reshape"] and same_function(graph, merge_reshapes(graph))


def test_lower_affines():
    graph = chain((1, 2, 3), Affine(tensor(2, 1), tensor(1)), Reshape((1, 6)), Relu())
    moved = lower_affines(graph)
    assert kinds(moved) == ["Reshape", "Affine", "Relu"] and same_function(graph, moved)
    shared = chain((2,), Affine(tensor(2)), Reshape((1, 2)), (Reshape((1, 2)), ("n1",)), (Add(), ("n2", "n3")))
    assert lower_affines(shared) is shared


def test_merge_affines():
    graph = chain((2, 3), Affine(tensor(3), tensor(3)), Affine(tensor(2, 1), None), Affine(None, tensor(1)))
    assert kinds(simplify(graph)) == ["Affine"] and same_function(graph, simplify(graph))
    once = merge_affines(graph)
    assert kinds(once) == ["Affine", "Affine"] and same_function(graph, once)


def linear(o: int, i: int) -> Linear:
    return Linear(tensor(o, i), tensor(o, seed=1))


@pytest.mark.parametrize(
    "ops",
    [
        (linear(4, 3), Affine(tensor(4), tensor(1))),
        (linear(4, 3), Affine(None, tensor(1, 4))),
        (Linear(tensor(4, 3)), Affine(None, tensor(4))),
        (Affine(tensor(3), tensor(1)), linear(4, 3)),
        (Affine(tensor(1)), linear(4, 3)),
        (Affine(None, tensor(3)), Linear(tensor(4, 3))),
    ],
)
def test_fold_affine_into_linear(ops):
    graph = chain((1, 3), *ops)
    folded = fold_affine_into_linear(graph)
    assert kinds(folded) == ["Linear"] and folded.output == "n2" and same_function(graph, folded)


CHANNELS = Affine(tensor(4, 1, 1), tensor(1, 4, 1, 1))


@pytest.mark.parametrize(
    "ops",
    [
        (Conv(tensor(4, 1, 3, 3), tensor(4), padding=(1, 1), groups=2), CHANNELS),
        (Conv(tensor(4, 2, 3, 2)), CHANNELS),
        (ConvTranspose(tensor(2, 4, 3, 3), tensor(4), stride=(2, 2)), CHANNELS),
        (ConvTranspose(tensor(2, 2, 3, 3), groups=2), CHANNELS),
        (Affine(tensor(2, 1, 1), tensor(2, 1, 1)), Conv(tensor(4, 1, 3, 3), tensor(4), groups=2)),
        (Affine(tensor(1), tensor(1)), Conv(tensor(4, 2, 3, 3))),
        (Affine(tensor(2, 1, 1)), Conv(tensor(4, 2, 3, 3), padding=(1, 0))),
    ],
)
def test_fold_affine_into_convolution(ops):
    graph = chain((1, 2, 5, 4), *ops)
    folded = fold_affine_into_linear(graph)
    assert len(kinds(folded)) == 1 and same_function(graph, folded)


@pytest.mark.parametrize(
    "shape, ops",
    [
        ((1, 2, 5, 4), (Affine(None, tensor(2, 1, 1)), Conv(tensor(4, 2, 3, 3), padding=(1, 1)))),
        ((1, 2, 5, 4), (Affine(tensor(5, 4)), Conv(tensor(4, 2, 3, 3)))),
        ((2, 3), (Affine(tensor(2, 1)), linear(4, 3))),
        ((2, 3), (linear(4, 3), Affine(tensor(2, 4)))),
        ((1, 3), (linear(4, 3), Relu(), Affine(tensor(4)))),
    ],
)
def test_what_cannot_be_folded_stays(shape, ops):
    graph = chain(shape, *ops)
    assert fold_affine_into_linear(graph) is graph


def test_a_value_read_elsewhere_is_not_folded_away():
    graph = chain((1, 3), linear(4, 3), Affine(tensor(4)), (Add(), ("n1", "n2")))
    assert fold_affine_into_linear(graph) is graph and same_function(graph, simplify(graph))


def test_merge_linear_chains():
    graph = chain((1, 5), linear(4, 5), linear(2, 4))
    merged = merge_linear_chains(graph)
    assert kinds(merged) == ["Linear"] and same_function(graph, merged)
    growing = chain((1, 8), linear(2, 8), linear(9, 2))
    assert merge_linear_chains(growing) is growing


def test_merge_linear_chains_through_reshapes():
    graph = chain((1, 5), linear(4, 5), Reshape((1, 4, 1)), Reshape((4,)), linear(2, 4))
    merged = simplify(graph)
    assert kinds(merged) == ["Reshape", "Linear"] and same_function(graph, merged)
    mixing = chain((2, 5), linear(4, 5), Reshape((1, 8)), linear(2, 8))
    assert merge_linear_chains(mixing) is mixing
    rows = chain((2, 5), linear(4, 5), linear(2, 4))
    assert kinds(merge_linear_chains(rows)) == ["Linear"] and same_function(rows, simplify(rows))


def test_normalised_classifier_with_query_rows():
    """(x - mean) / std, flatten, matmul, bias, relu, layer, specification rows: three nodes of weights remain."""
    network = chain(
        (1, 2, 2, 1),
        Affine(None, tensor(2, 2, 1)),
        Affine(tensor(1)),
        Reshape((1, 4)),
        Linear(tensor(6, 4)),
        Affine(None, tensor(6)),
        Relu(),
        linear(3, 6),
    )
    rows = tuple((LinearConstraint(((0, Fraction(1)), (k, Fraction(-1))), Fraction(0)),) for k in (1, 2))
    case = Case(InputBox.from_floats(-torch.ones(4).numpy(), torch.ones(4).numpy()), rows)
    graph = lower(case, network, Spec(4, 3, (case,))).graph
    small = simplify(graph)
    assert kinds(small) == ["Reshape", "Linear", "Relu", "Reshape", "Linear"] and same_function(graph, small)
    assert small.output == graph.output


def test_long_chains_of_factors_are_left_alone():
    """Each factor costs roundings that the bounds pay for in advance, so only few may meet."""
    graph = chain((1, 3), *(Affine(tensor(3, seed=k)) for k in range(3)), linear(2, 3))
    assert kinds(simplify(graph)).count("Affine") == 3


def test_float32_graphs_are_left_alone():
    graph = chain((1, 3), Affine(), linear(2, 3)).to(dtype=torch.float32)
    assert simplify(graph) is graph


def test_surviving_names_keep_their_values():
    graph = chain(
        (1, 4),
        Affine(tensor(1), tensor(4)),
        linear(5, 4),
        Affine(tensor(5), tensor(5)),
        Relu(),
        linear(3, 5),
        linear(2, 3),
        Relu(),
    )
    small, x = simplify(graph), tensor(3, 1, 4)
    wanted = [node.name for node in small.nodes if node.name in graph.by_name]
    before, after = graph.values(x, wanted), small.values(x, wanted)
    assert len(wanted) >= 4 and all(torch.allclose(before[name], after[name]) for name in wanted)


def rounding_chain(scale: float, roundings: tuple[int | None, int | None] = (0, 8)) -> Graph:
    """x -> Linear -> Affine, each with its roundings."""
    first = Linear(torch.ones(2, 2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    second = Affine(torch.tensor(scale, dtype=torch.float64), torch.tensor(-1.0, dtype=torch.float64))
    return Graph((Node("x", Input((1, 2)), (), (1, 2)), Node("a", first, ("x",), (1, 2), roundings[0]),
                  Node("b", second, ("a",), (1, 2), roundings[1])), "b")


def test_an_affine_map_that_rounds_goes_into_the_layer_before_it_with_its_roundings():
    (_, merged) = simplify(rounding_chain(0.5)).nodes
    assert isinstance(merged.op, Linear) and merged.roundings == 0 + 8 + 2
    assert merged.op.bias_magnitude.min() >= 1.5  # the terms 0.5 and -1 that met in the bias -0.5


@pytest.mark.parametrize("scale", [2.0**-21, 2.0**21, 0.0])
def test_scales_that_would_hide_overflow_or_underflow_stay(scale):
    assert len(simplify(rounding_chain(scale)).nodes) == 3
    assert len(simplify(rounding_chain(scale, (None, None))).nodes) == 2


@pytest.mark.parametrize("roundings", [(None, 0), (0, None)])
def test_exact_and_rounding_operators_are_not_merged(roundings):
    assert len(simplify(rounding_chain(0.5, roundings)).nodes) == 3


def test_what_a_layer_may_start_its_sum_with_rounds_as_often_as_its_terms():
    """x -> Linear -> Reshape, added to x: a runtime may keep x in the accumulator."""
    x = Node("x", Input((1, 5)), (), (1, 5))
    layer = Node("a", Linear(torch.ones(5, 5, dtype=torch.float64)), ("x",), (1, 5), 0)
    moved = (Node("m", Reshape((5, 1)), ("a",), (5, 1)), Node("r", Reshape((5, 1)), ("x",), (5, 1)))
    added = Node("s", Add(), ("m", "r"), (5, 1), 0)
    once = simplify(Graph((x, layer, *moved, added), "s"))
    assert [node.roundings for node in once.nodes] == [None, 0, None, None, 6 + 8]
    assert [node.roundings for node in simplify(once).nodes] == [node.roundings for node in once.nodes]
    exact = simplify(Graph((x, replace(layer, roundings=None), *moved, replace(added, roundings=None)), "s"))
    assert all(node.roundings is None for node in exact.nodes)


def test_layers_that_round_are_not_multiplied_and_rounding_identities_stay():
    weight = torch.ones(2, 2, dtype=torch.float64)
    x = Node("x", Input((1, 2)), (), (1, 2))

    def chain(roundings: int | None) -> Graph:
        return Graph((x, Node("a", Affine(), ("x",), (1, 2), roundings), Node("b", Linear(weight), ("a",), (1, 2),
                      roundings), Node("c", Linear(weight), ("b",), (1, 2), roundings)), "c")

    assert len(simplify(chain(None)).nodes) == 2
    assert len(simplify(chain(0)).nodes) == 4
