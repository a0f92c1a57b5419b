import math

import numpy as np
import pytest
import torch

from tests.verify.bounds.laws import DEVICES, assert_below, assert_encloses, cases, move, rounding
from tests.verify.bounds.networks import ALL, boxes, directions, low_points, mlp, slack
from verify.bounds.crown import chunk_rows, crown, crown_bounds, needs_bounds, output_form
from verify.bounds.ibp import ibp
from verify.bounds.walk import charges
from verify.ops import Linear, Relu, Sigmoid
from verify.relaxations import LOWER_SLOPES, Relaxer
from verify.sets import Interval


@pytest.mark.parametrize("name", ALL)
def test_no_point_is_below_a_bound(name):
    for what, graph, box in cases([name]):
        rows = directions(graph)
        low, charge = low_points(graph, box, rows[0]), rounding(graph, box)
        for rule in LOWER_SLOPES:
            for intermediate in ("crown", "ibp"):
                bound, bounds = crown(graph, box, rows, Relaxer(rule), charge, intermediate)
                assert_below(bound, low, f"{what} {rule} {intermediate}")
                assert_encloses(graph, box, bounds, f"{what} {rule} {intermediate}", 50)


@pytest.mark.parametrize("name", ALL)
def test_charges_of_every_box_for_itself(name):
    """Those of n boxes belong to them one by one: sound, and what each box gives alone."""
    for what, graph, box in cases([name], seeds=1):
        rows = directions(graph)
        bound, _ = crown(graph, box, rows, charges=charges(graph, ibp(graph, box)))
        assert_below(bound, low_points(graph, box, rows[0]), what)
        assert bool((bound >= crown(graph, box, rows, charges=rounding(graph, box))[0] - slack(bound)).all()), what
        for k in range(5):
            alone, _ = crown(graph, box[k : k + 1], rows, charges=charges(graph, ibp(graph, box[k : k + 1])))
            assert torch.allclose(alone[0], bound[k], rtol=1e-3 if graph.dtype is torch.float32 else 1e-9), what


def dense_lines(low, high, rule):
    """(lower slope, upper slope, upper intercept) of one ReLU."""
    if high <= 0:
        return 0.0, 0.0, 0.0
    if low >= 0:
        return 1.0, 1.0, 0.0
    chord = high / (high - low)
    lower = {"adaptive": float(high > -low), "parallel": chord, "zero": 0.0, "one": 1.0}[rule]
    return lower, chord, -chord * low


def dense_minimum(row, layers, intervals, box, rule):
    """min over the box of row . (output of the last of `layers`), every ReLU before it on its lines; plain loops."""
    coeff, offset = np.array(row, dtype=float), 0.0
    for k in range(len(layers) - 1, -1, -1):
        weight, bias = layers[k]
        offset += sum(coeff[o] * bias[o] for o in range(len(bias)))
        coeff = np.array([sum(coeff[o] * weight[o, i] for o in range(len(bias))) for i in range(weight.shape[1])])
        if k:
            for i in range(len(coeff)):
                lower, upper, intercept = dense_lines(*intervals[k - 1][i], rule)
                if coeff[i] >= 0:
                    coeff[i] *= lower
                else:
                    offset += coeff[i] * intercept
                    coeff[i] *= upper
    return offset + sum(min(c * lo, c * hi) for c, (lo, hi) in zip(coeff, box, strict=True))


def dense_crown(layers, box, rule):
    """Intervals of all layers' outputs, front to back."""
    intervals, last = [], box
    for k, (weight, bias) in enumerate(layers):
        unit = np.eye(len(bias))
        crown_interval = [(dense_minimum(e, layers[: k + 1], intervals, box, rule),
                           -dense_minimum(-e, layers[: k + 1], intervals, box, rule)) for e in unit]
        plain = []
        for o in range(len(bias)):
            ends = [sorted((weight[o, i] * last[i][0], weight[o, i] * last[i][1])) for i in range(len(last))]
            plain.append((bias[o] + sum(e[0] for e in ends), bias[o] + sum(e[1] for e in ends)))
        # A stable neuron needs no tighter interval: the walk leaves what interval arithmetic found.
        mine = [p if k == len(layers) - 1 or p[0] >= 0 or p[1] <= 0 else (max(c[0], p[0]), min(c[1], p[1]))
                for c, p in zip(crown_interval, plain, strict=True)]
        intervals.append(mine)
        last = [(max(lo, 0.0), max(hi, 0.0)) for lo, hi in mine]
    return intervals


@pytest.mark.parametrize("rule", LOWER_SLOPES)
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_dense_computation(rule, seed):
    graph = mlp(seed, (3, 5, 6, 4, 2))
    batch = boxes(graph, seed, (0.1, 0.6, 1.5))
    layers = [(n.op.weight.numpy(), n.op.bias.numpy()) for n in graph.nodes if isinstance(n.op, Linear)]
    for k in range(4):
        box = batch[k : k + 1]
        pairs = list(zip(box.lower.flatten().tolist(), box.upper.flatten().tolist(), strict=True))
        expected = dense_crown(layers, pairs, rule)
        bounds = crown_bounds(graph, box, Relaxer(rule))
        for node, interval in zip(graph.nonlinear, expected, strict=False):
            pre = bounds[node.inputs[0]]
            assert np.allclose(pre.lower.flatten(), [i[0] for i in interval], rtol=1e-9, atol=1e-11)
            assert np.allclose(pre.upper.flatten(), [i[1] for i in interval], rtol=1e-9, atol=1e-11)
        rows = directions(graph, seed)
        bound, _ = crown(graph, box, rows, Relaxer(rule))
        final = [dense_minimum(r, layers, expected, pairs, rule) for r in rows[0].flatten(1).numpy()]
        assert np.allclose(bound[0], final, rtol=1e-9, atol=1e-11)


def test_never_looser_than_intervals_inside():
    for _, graph, box in cases(dtypes=(torch.float64,), seeds=1):
        plain, tight = crown_bounds(graph, box, intermediate="ibp"), crown_bounds(graph, box)
        for name in plain:
            assert bool((tight[name].lower >= plain[name].lower - 1e-9).all()), name
            assert bool((tight[name].upper <= plain[name].upper + 1e-9).all()), name


def test_a_box_does_not_see_its_batch_mates():
    for what, graph, box in cases(dtypes=(torch.float64,), seeds=1):
        rows = directions(graph)
        together, _ = crown(graph, box, rows)
        order = torch.tensor([3, 0, 4, 2, 1])
        shuffled, _ = crown(graph, box[order], rows)
        assert torch.allclose(shuffled, together[order], rtol=1e-12, atol=1e-12), what
        for k in range(len(order)):
            alone, _ = crown(graph, box[k : k + 1], rows)
            # An unstable mate makes CROWN look at a neuron that is stable here: the interval may only get tighter.
            assert bool((together[k] >= alone[0] - 1e-9 * (1 + alone[0].abs())).all()), what


def test_rows_default_to_the_outputs_and_may_differ_by_box():
    graph = mlp(2)
    box = boxes(graph, 2)
    plain, _ = crown(graph, box)
    rows = torch.eye(2, dtype=torch.float64).reshape(1, 2, 1, 2)
    assert torch.allclose(plain, crown(graph, box, rows)[0])
    mine = rows.repeat(5, 1, 1, 1)
    mine[1] *= -1
    assert torch.allclose(crown(graph, box, mine)[0][1], crown(graph, box, -rows)[0][1])


@pytest.mark.parametrize("rule", ["adaptive", "zero", "one"])
def test_gradients_agree_with_finite_differences(rule):
    graph = mlp(3)
    box = boxes(graph, 3)[1:3]
    first = graph.nodes[1]

    def bound(weight, low, high):
        op = Linear(weight, first.op.bias)
        nodes = tuple(type(n)(n.name, op if n is first else n.op, n.inputs, n.shape) for n in graph.nodes)
        return crown(type(graph)(nodes, graph.output), Interval(low, high), relaxer=Relaxer(rule))[0]

    arguments = (first.op.weight.clone().requires_grad_(), box.lower.clone().requires_grad_(),
                 box.upper.clone().requires_grad_())
    assert torch.autograd.gradcheck(bound, arguments, eps=1e-7, atol=1e-4)


def test_needs_bounds_asks_for_unstable_neurons_only():
    graph = mlp()
    pre = Interval(torch.tensor([[-1.0, 0.0, 1.0, -2.0], [1.0, 0.0, 1.0, -2.0]]),
                   torch.tensor([[1.0, 2.0, 2.0, -1.0], [2.0, 0.0, 2.0, 0.0]]))
    relu = next(n for n in graph.nodes if isinstance(n.op, Relu))
    assert needs_bounds(relu, pre).tolist() == [0]
    smooth = mlp(act=Sigmoid()).nonlinear[0]
    assert needs_bounds(smooth, pre).tolist() == [0, 1, 2, 3]


def test_chunks_do_not_change_the_bounds(monkeypatch):
    graph = ALL["conv"](1)
    box = boxes(graph, 1)
    whole = crown(graph, box)[0]
    assert chunk_rows(graph, 5, 100, budget=1) == 1
    monkeypatch.setattr("verify.bounds.crown.chunk_rows", lambda *a: 2)
    assert torch.allclose(crown(graph, box)[0], whole, rtol=1e-12, atol=1e-12)


def test_output_form_holds_at_every_point():
    graph = ALL["mixed"](0)
    box = boxes(graph)
    bounds = crown_bounds(graph, box, charges=rounding(graph, box))
    rows = directions(graph)
    form = output_form(graph, bounds, rows, charges=rounding(graph, box))
    for k in range(5):
        x = box[k : k + 1].sample(100)
        line = x.flatten(1) @ form.coeff[k].flatten(1).T + form.offset[k] - form.error[k]
        value = graph.evaluate(x).flatten(1) @ rows[0].flatten(1).T
        assert bool((line <= value + 1e-12 * (1 + value.abs())).all())


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for what, graph, box in cases(("conv", "mixed"), seeds=1):
        here, _ = crown(graph, box, charges=rounding(graph, box))
        there_graph, there_box = graph.to(device), move(box, device)
        there, _ = crown(there_graph, there_box, charges=rounding(there_graph, there_box))
        count = math.prod(graph[graph.output].shape)
        low = low_points(graph, box, torch.eye(count).reshape(count, *graph[graph.output].shape))
        assert_below(there.cpu(), low, what)
        assert torch.allclose(here, there.cpu(), rtol=1e-3, atol=1e-3), what
