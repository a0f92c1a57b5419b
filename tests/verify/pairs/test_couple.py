"""The coupled graph is both networks: at points, and in its bounds, which see the difference."""

from dataclasses import dataclass, replace

import pytest
import torch

from tests.verify.bounds.networks import ALL, Builder, boxes, low_points, mlp
from tests.verify.pairs.partners import disturbed
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.root import compact_root
from verify.bounds.walk import charges
from verify.errors import BrokenInvariant, ShapeMismatch
from verify.graph import Node
from verify.onnx_import.simplify import simplify
from verify.ops import Add, Affine, Constant, Gather, Input, Linear, Relu, Reshape, Sum, Tanh
from verify.ops.difference import Change, Difference
from verify.pairs.couple import Unpaired, couple, match, merge
from verify.pairs.tie import SHARED, Tie

TIES = {"shared": SHARED, "raised": Tie((1,))}


def inputs(graph, tie: Tie, count: int = 20):
    """Inputs of the pair (count, ...), and what both networks read."""
    x = torch.randn(count, *graph.input.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    if not tie.raised:
        return x, x, x
    rise = torch.rand(count, len(tie.raised), dtype=torch.float64)
    second = x.flatten(1).clone()
    second[:, list(tie.raised)] += rise
    return torch.cat([x.flatten(1), rise], 1), x, second.reshape(x.shape)


def difference_rows(outputs: int) -> torch.Tensor:
    """+-(y - y') over (y, y'): (1, 2m, 2m)."""
    eye = torch.eye(outputs, dtype=torch.float64)
    return torch.cat([torch.cat([eye, -eye], 1), torch.cat([-eye, eye], 1)]).unsqueeze(0)


@pytest.mark.parametrize("tie", TIES)
@pytest.mark.parametrize("name", ALL)
def test_the_coupled_graph_is_both_networks(name, tie):
    first, tie = ALL[name](1), TIES[tie]
    second = disturbed(first, 0.1)
    z, x, other = inputs(first, tie)
    wanted = torch.cat([first.evaluate(x).flatten(1), second.evaluate(other).flatten(1)], 1)
    whole = couple(first, second, tie)
    assert torch.allclose(whole.evaluate(z), wanted, atol=1e-11)
    assert torch.allclose(simplify(whole).evaluate(z), wanted, atol=1e-11)
    if not tie.raised:
        assert torch.equal(merge(first, second).evaluate(z), wanted)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name in ALL if name not in ("identity", "constant")
                                            for size in (1e-4, 0.3) if (name, size) != ("curves", 0.3)])
def test_bounds_contain_the_differences(name, size):
    """Row by row over boxes of every size, with rounding charged; of the collapsed network, too."""
    first = ALL[name](2)
    second = disturbed(first, size)
    whole, plain = simplify(couple(first, second)), simplify(merge(first, second))
    box, rows = boxes(first), difference_rows(plain[plain.output].shape[0] // 2)
    least = low_points(plain, box, rows[0])
    bound, _ = crown(whole, box, rows, charges=charges(whole, ibp(whole, box)))
    bound = bound.nan_to_num(nan=-torch.inf)  # a function that is not defined on a whole box
    assert bool((bound <= least + 1e-12 * (1 + least.abs())).all())
    end = Node("rows", Linear(rows[0]), (whole.output,), (rows.shape[1],))
    root = compact_root(replace(whole, nodes=(*whole.nodes, end), output="rows"), box[1:2],
                        torch.arange(box.lower[0].numel()))
    assert bool((root.row_lower <= least[1] + 1e-12 * (1 + least[1].abs())).all())


@pytest.mark.parametrize("name", ["mlp", "conv", "residual", "tanh"])
def test_bounds_in_float32_contain_the_differences(name):
    """Of the networks as they are in float64: the rounding of weights and of their differences is charged."""
    first = ALL[name](5)
    second = disturbed(first, 1e-3)
    whole = simplify(couple(first, second)).to(dtype=torch.float32)
    box, rows = boxes(whole, radii=(0.02, 0.5)), difference_rows(whole[whole.output].shape[0] // 2)
    bound, _ = crown(whole, box, rows.float(), charges=charges(whole, ibp(whole, box)))
    least = low_points(merge(first, second), box, rows[0])
    assert bool((bound.double() <= least).all()) and bool(torch.isfinite(bound).all())


@pytest.mark.parametrize("act", [Relu(), Tanh()], ids=lambda act: type(act).__name__)
def test_coupling_is_far_tighter_for_close_networks(act):
    first = mlp(4, (3, 20, 20, 20, 2), act)
    second = disturbed(first, 1e-5)
    box = boxes(first)[:2]
    widths = []
    for graph in (couple(first, second), merge(first, second)):
        bound, _ = crown(graph, box, difference_rows(2), charges=charges(graph, ibp(graph, box[1:])))
        widths.append(-bound.amin())
    assert 0 < widths[0] < 0.02 * widths[1]


def test_what_is_shared_has_no_difference():
    """Weights are told to be equal by identity, or by value where the files hold the numbers of the graph."""
    first = mlp(0, (3, 6, 5, 2))
    later = next(node.name for node in first.nodes if node.op.linear and node.shape == (1, 5))
    second = disturbed(first, only=(later,))
    assert sum(isinstance(node.op, Difference) for node in couple(first, second).nodes) == 1
    assert not any(isinstance(node.op, (Difference, Change)) for node in couple(first, first).nodes)
    copied = replace(first, nodes=tuple(replace(node, op=replace(node.op)) for node in first.nodes))
    assert any(isinstance(node.op, Change) for node in couple(first, copied).nodes)
    assert not any(isinstance(node.op, Change) for node in couple(first, copied, exact=True).nodes)


def test_equal_weights_of_unknown_origin_are_charged():
    """Two importers' quotients may agree and stand for different numbers: the difference is not exactly 0."""
    first = mlp(0, (3, 6, 5, 2))
    copied = replace(first, nodes=tuple(replace(node, op=replace(node.op)) for node in first.nodes))
    whole, box = couple(first, copied), boxes(first)[1:2]
    bound, _ = crown(whole, box, difference_rows(2), charges=charges(whole, ibp(whole, box)))
    assert bool((bound < -1e-15).all()) and bool((bound > -1e-9).all())


def test_affine_maps_with_and_without_parts():
    scale, shift = torch.tensor([2.0]).double(), torch.tensor([[1.0, -1.0]]).double()
    forms = [Affine(scale, shift), Affine(None, shift), Affine(scale), Affine(), Affine(scale, shift, shift.abs() + 5)]
    x = torch.randn(5, 1, 2, dtype=torch.float64)
    for one in forms:
        for other in forms:
            pair = [builder(op, shape=(1, 2)) for op in (one, other)]
            wanted = torch.cat([graph.evaluate(x).flatten(1) for graph in pair], 1)
            assert torch.allclose(couple(*pair).evaluate(x), wanted)
    pair = [builder(replace(forms[-1]), shape=(1, 2)) for _ in range(2)]
    room = next(node.op for node in couple(*pair).nodes if isinstance(node.op, Change))
    assert bool((room.offset_magnitude() >= 2 * (5 + shift.abs())).all())


def builder(*ops, shape=(1, 3)):
    b, name = Builder(shape), "x"
    for op in ops:
        name = b.add(op, name)
    return b.graph(name)


WEIGHT = torch.ones(3, 3, dtype=torch.float64)


@pytest.mark.parametrize(("first", "second", "why"), [
    (builder(Linear(WEIGHT), Relu()), builder(Linear(WEIGHT), Tanh()), "are Relu and Tanh"),
    (builder(Relu()), builder(Relu(), Relu()), "are Input and Relu"),
    (builder(Linear(WEIGHT[:2]), Relu(), Linear(WEIGHT[:, :2])), builder(Linear(WEIGHT), Relu(), Linear(WEIGHT)),
     "have the shapes"),
    (builder(Gather(torch.tensor([[0, 1, 2]]))), builder(Gather(torch.tensor([[0, 2, 1]]))), "differ in indices"),
    (builder(Relu()), builder(Reshape((3,)), Relu(), Reshape((1, 3))), "are Relu and Reshape"),
    (builder(Relu(), shape=(3,)), builder(Relu()), "inputs have the shapes"),
])
def test_other_structures_are_told_apart_and_merged(first, second, why):
    with pytest.raises(Unpaired, match=why):
        couple(first, second)
    x = torch.randn(4, *first.input.shape, dtype=torch.float64)
    wanted = [first.evaluate(x).flatten(1), second.evaluate(x.reshape(4, *second.input.shape)).flatten(1)]
    assert torch.equal(merge(first, second).evaluate(x), torch.cat(wanted, 1))


def test_a_node_with_two_partners():
    b, c = Builder((1, 3)), Builder((1, 3))
    once = b.add(Relu(), "x")
    first = b.graph(b.add(Add(), once, once))
    second = c.graph(c.add(Add(), c.add(Relu(), "x"), c.add(Relu(), "x")))
    with pytest.raises(Unpaired, match="two partners"):
        match(first, second)


def test_sizes_must_agree():
    with pytest.raises(ShapeMismatch, match="3 outputs, the second one 2"):
        couple(builder(Linear(WEIGHT)), builder(Linear(WEIGHT[:2])))
    with pytest.raises(ShapeMismatch, match="3 inputs, the second one 2"):
        couple(builder(Linear(WEIGHT)), builder(Linear(WEIGHT[:, :2]), shape=(1, 2)))
    with pytest.raises(ShapeMismatch, match="3 outputs, the second one 2"):
        merge(builder(Linear(WEIGHT)), builder(Linear(WEIGHT[:2])))
    with pytest.raises(ShapeMismatch, match="takes 2"):
        merge(builder(Linear(WEIGHT)), builder(Linear(WEIGHT[:, :2]), shape=(1, 2)))


def test_graphs_that_round_or_were_simplified_are_not_coupled():
    first = mlp(0)
    rounding = replace(first, nodes=tuple(replace(n, roundings=None if isinstance(n.op, Input) else 0)
                                          for n in first.nodes))
    with pytest.raises(BrokenInvariant, match="reals"):
        couple(rounding, first)
    merged = simplify(builder(Linear(WEIGHT), Linear(WEIGHT)))
    with pytest.raises(BrokenInvariant, match="simplification"):
        couple(merged, disturbed(merged))


def test_a_constant_partner_of_another_value():
    def graph(value):
        b = Builder((1, 3))
        return b.graph(b.add(Add(), "x", b.add(Constant(torch.full((1, 3), value, dtype=torch.float64)))))

    whole = couple(graph(1.0), graph(1.5))
    assert torch.allclose(whole.evaluate(torch.zeros(1, 1, 3).double()), torch.tensor([[1.0] * 3 + [1.5] * 3]).double())


def test_weights_of_unknown_operators_are_not_paired():
    @dataclass(frozen=True, eq=False)
    class Scaled(Sum):
        weight: torch.Tensor = None

    weight = torch.ones(3).double()
    first, copied = builder(Scaled((1,), weight)), builder(Scaled((1,), weight.clone()))
    assert couple(first, first).nodes
    with pytest.raises(Unpaired, match="weights of Scaled"):
        couple(first, copied)
    with pytest.raises(Unpaired, match="differ in weight"):
        couple(first, builder(Scaled((1,), 2 * weight)))
