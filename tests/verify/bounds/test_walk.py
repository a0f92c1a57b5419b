import torch

from tests.verify.bounds.laws import cases
from tests.verify.bounds.networks import Builder, boxes, directions, low_points, mlp
from verify.bounds.crown import crown, crown_rule
from verify.bounds.ibp import ibp
from verify.bounds.walk import backward, charge, charges, exact_by_intervals, forward, identity_rows
from verify.ops import Gather, Linear, Relu
from verify.relaxations import CROWN
from verify.sets import Interval


def test_backward_is_exact_on_affine_networks():
    for what, graph, box in cases(("affine", "identity"), dtypes=(torch.float64,)):
        rows = directions(graph)
        form = backward(graph, graph.output, rows, rule=None)
        x = box[1:2].sample(50)
        value = graph.evaluate(x).flatten(1) @ rows[0].flatten(1).T
        assert torch.allclose(x.flatten(1) @ form.coeff[0].flatten(1).T + form.offset[0], value, atol=1e-10), what


def test_backward_from_a_value_without_the_input_gives_a_constant():
    for _, graph, _ in cases(("constant",), seeds=1, dtypes=(torch.float64,)):
        rows = directions(graph)
        bounds = ibp(graph, boxes(graph))
        form = backward(graph, graph.output, rows,
                        crown_rule(bounds, CROWN))
        assert not bool(form.coeff.any())
        expected = graph.evaluate(boxes(graph).lower[:1]).flatten(1) @ rows[0].flatten(1).T
        assert torch.allclose(form.offset[0], expected[0])


def test_forward_stops_and_refines():
    graph = mlp()
    box = boxes(graph)
    first = graph.nodes[1].name
    assert set(forward(graph, box, until=first)) == {"x", first}
    tight = Interval(torch.zeros(5, 1, 6, dtype=torch.float64), torch.ones(5, 1, 6, dtype=torch.float64))
    bounds = forward(graph, box, lambda node, name, known: tight if name == first else known[name])
    assert bool((bounds[graph.nodes[2].name].upper <= 1).all())


def test_charges_cover_the_rounding_of_float32():
    for what, graph, box in cases(dtypes=(torch.float32,), seeds=1):
        cost = charges(graph, ibp(graph, box))
        exact = graph.to(dtype=torch.float64)
        for k in range(5):
            x = box[k : k + 1].sample(20)
            names = [node.name for node in graph.nodes]
            single, double = graph.values(x, names), exact.values(x.double(), names)
            for node in graph.nodes:
                if node.name in cost and node.op.linear:
                    mine = node.op.evaluate(*(single[name] for name in node.inputs)).double()
                    truth = exact[node.name].op.evaluate(*(single[name].double() for name in node.inputs))
                    allowed = cost[node.name].expand(5, *node.shape)[k].double()
                    assert bool(((mine - truth).abs() <= allowed).all()), (what, node.name)
            assert torch.allclose(single[graph.output].double(), double[graph.output], rtol=1e-3, atol=1e-3), what


def test_ops_that_move_entries_cost_nothing():
    b = Builder((1, 3))
    graph = b.graph(b.add(Gather(torch.tensor([[2, 0]])), "x"))
    assert charge(graph.nodes[1], ibp(graph, boxes(graph))) is None


def test_an_entry_read_many_times_is_charged():
    """Rows that cancel where one value fans out lose digits that no later charge would see."""
    b = Builder((1, 1))
    spread = b.add(Gather(torch.zeros(1, 300, dtype=torch.int64)), b.add(Relu(), "x"))
    weight = b.draw(1, 300) * 1e6
    weight[0, 150:] = -weight[0, :150]
    weight[0, 7] += 0.1
    generator = torch.Generator().manual_seed(3)
    weight = weight[:, torch.randperm(300, generator=generator)]
    graph = b.graph(b.add(Linear(weight, None), spread)).to(dtype=torch.float32)
    box = Interval(torch.full((1, 1, 1), -1.0), torch.full((1, 1, 1), 1.0))
    cost = charges(graph, ibp(graph, box))
    rows = torch.tensor([[[[1.0]], [[-1.0]]]])
    bound, _ = crown(graph, box, rows, charges=cost)
    assert bool((bound.double() <= low_points(graph, box, rows[0])).all())


def test_identity_rows():
    rows = identity_rows((2, 2), torch.tensor([3, 0]), (1.0, -1.0), torch.zeros(1))
    assert rows.shape == (1, 4, 2, 2)
    assert rows.flatten(2)[0].tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, -1], [-1, 0, 0, 0]]


def test_exact_by_intervals():
    graph = mlp()
    assert exact_by_intervals(graph, graph.nodes[1].name)
    assert not exact_by_intervals(graph, graph.nodes[2].name)
    assert not exact_by_intervals(graph, graph.output)
    b = Builder((1, 3))
    assert not exact_by_intervals(b.graph(b.dense(b.dense("x", 3, 4), 4, 2)), "n2")
