from dataclasses import replace
from itertools import product

import pytest
import torch

from tests.verify.bounds.laws import arguments, assert_below, roots, row_minima
from tests.verify.bounds.networks import ALL, RELU
from tests.verify.bounds.test_compact import compact_values
from verify.bounds.ascent import AscentOptions, ascend
from verify.bounds.dual import DualParams, DualProblem
from verify.bounds.lines import Cuts, DualLines

GENERATOR_SEED = 5


def random_params(problem, n, generator, wild=False):
    """Random dual variables of n subproblems; `wild` ones lie outside the legal ranges."""
    u, r = problem.network.unstable, problem.network.row_weight.shape[0]
    dtype = problem.network.row_weight.dtype

    def draw(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    z = problem.network.arguments
    alpha, upper, beta, weights = draw(n, u), draw(n, u), draw(n, z) ** 3 * 2, draw(n, r) + 0.01
    if wild:
        alpha, upper, beta = 3 * alpha - 1, 3 * upper - 1, 2 * beta - 1
    weights /= weights.sum(1, keepdim=True)
    return DualParams(*(t.to(dtype) for t in (alpha, upper, beta, weights)))


def random_signs(network, n, generator):
    relu = torch.cat([torch.full((layer.size,), type(layer.op).__name__ == "Relu") for layer in network.layers]
                     or [torch.zeros(0, dtype=torch.bool)])
    signs = torch.randint(-1, 2, (n, network.unstable), generator=generator) * relu
    return (signs * (torch.rand(n, network.unstable, generator=generator) < 0.5)).to(torch.int8)


@pytest.mark.parametrize("name", ALL)
def test_rigorous_is_below_every_point_for_any_parameters(name):
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for what, graph, box, root in roots([name]):
        low = row_minima(graph, box)
        for network in (root.network, root.network.to(dtype=torch.float32)):
            problem = DualProblem.of(network)
            params = random_params(problem, 12, generator, wild=True)
            params = replace(params, weights=torch.eye(3, dtype=params.weights.dtype).repeat(4, 1))
            bound = problem.rigorous(params)
            assert_below(bound.reshape(4, 3), low.expand(4, 3), what)


@pytest.mark.parametrize("name", ["mlp", "mixed", "product", "curves"])
def test_cut_bounds_hold_on_the_points_of_the_cut(name):
    """Every range is cut at random, so that one of 20 points lies inside; lines on the smaller ranges, multipliers of
    any sign and size."""
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for what, graph, box, root in roots([name], dtypes=(torch.float64,), which=(1, 2, 4)):
        network = root.network
        x = box.sample(300, generator)
        truth, pre = graph.evaluate(x), arguments(graph, network, x)
        whole = DualProblem.of(network)
        low, high = (torch.full((20, network.arguments), side * torch.inf, dtype=torch.float64) for side in (-1, 1))
        at = pre[:20]
        share = torch.rand(at.shape, generator=generator, dtype=torch.float64)
        kind = torch.randint(0, 4, at.shape, generator=generator)
        low = torch.where(kind == 0, network.lower + share * (at - network.lower), low)
        high = torch.where(kind == 1, network.upper - share * (network.upper - at), high)
        cuts = Cuts(low, high)
        lines = DualLines.of(network, torch.maximum(network.lower, low), torch.minimum(network.upper, high))
        problem, params = DualProblem(network, lines), random_params(whole, 20, generator, wild=True)
        params = replace(params, beta=3 * torch.randn(params.beta.shape, generator=generator, dtype=torch.float64))
        inside = ((low.unsqueeze(1) <= pre) & (pre <= high.unsqueeze(1))).all(2)
        assert bool(inside[:, :20].diagonal().all()), what
        lowest = torch.where(inside, params.weights.clamp(min=0) @ truth.T, torch.inf).amin(1)
        start = problem.initial(params.weights.clamp(min=0))
        found = ascend(problem, start, options=AscentOptions(8), enough=float("inf"), cuts=cuts)
        assert bool((found.bound >= problem.backward(start, cuts=cuts).bound - 1e-12).all())
        for dual in (params, found.params):
            bound = problem.rigorous(dual, cuts=cuts)
            assert not bool(bound.isnan().any()), what
            assert bool((bound <= lowest + 1e-10 * (1 + lowest.abs())).all()), what


@pytest.mark.parametrize("name", ["mlp", "residual", "maximum", "mixed", "conv"])
def test_split_bounds_hold_on_the_points_of_the_split(name):
    """Signs are taken from the points themselves, so every subproblem contains at least one."""
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for what, graph, box, root in roots([name], which=(1, 2, 4)):
        exact = graph.to(dtype=torch.float64)
        x = box.sample(300, generator).double()
        truth = exact.evaluate(x)
        pre = arguments(exact, root.network, x)
        for network in (root.network, root.network.to(dtype=torch.float32)):
            problem = DualProblem.of(network)
            signs = random_signs(network, 20, generator)
            signs = torch.where(signs != 0, torch.where(pre[:20] > 0, 1, -1), 0).to(torch.int8)
            params = random_params(problem, 20, generator, wild=True)
            bound = problem.rigorous(params, signs).double()
            assert not bool(bound.isnan().any())
            legal = params.weights.clamp(min=0).double()
            agrees = ((signs.unsqueeze(1) == 0) | (signs.unsqueeze(1) * pre.unsqueeze(0) >= 0)).all(2)
            assert bool(agrees[:, :20].diagonal().all())
            mixed = legal @ truth.T
            low = torch.where(agrees, mixed, torch.inf).amin(1)
            assert bool((bound <= low + 1e-10 * (1 + low.abs())).all()), what


def test_a_pass_does_not_depend_on_its_batch():
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for what, _, _, root in roots(dtypes=(torch.float64,), which=(2,)):
        problem = DualProblem.of(root.network)
        params, signs = random_params(problem, 6, generator), random_signs(root.network, 6, generator)
        together = problem.rigorous(params, signs)
        order = torch.tensor([4, 2, 0])
        assert torch.allclose(problem.rigorous(params[order], signs[order]), together[order], rtol=1e-12), what
        options = AscentOptions(4)
        alone = ascend(problem, params[3:4], signs[3:4], None, options, float("inf")).bound
        assert torch.allclose(ascend(problem, params, signs, None, options, float("inf")).bound[3:4], alone), what


def test_fully_split_relu_networks_are_exact():
    """With every neuron fixed nothing is relaxed: at beta = 0 the form is the affine piece itself."""
    for what, _, _, root in roots(RELU, dtypes=(torch.float64,), which=(1,)):
        network = root.network
        problem = DualProblem.of(network)
        x = network.x_lower + (network.x_upper - network.x_lower) / 2
        _, pre = compact_values(network, x.unsqueeze(0))
        signs = torch.where(pre >= 0, 1, -1).to(torch.int8)
        params = problem.initial(torch.eye(3, dtype=torch.float64))
        done = problem.backward(params, signs.expand(3, -1))
        line = done.form[:, : network.inputs] @ x + done.offset
        rows, _ = compact_values(network, x.unsqueeze(0))
        assert torch.allclose(line, rows[0], rtol=1e-9, atol=1e-9), what


def test_numbers_that_are_not_finite_never_become_bounds():
    for _, _, _, root in roots(["mlp"], dtypes=(torch.float32,), which=(2,)):
        problem = DualProblem.of(root.network)
        good = problem.initial(torch.eye(3))
        for name, value in product(("alpha", "beta", "weights"), (float("nan"), float("inf"))):
            field = torch.full_like(getattr(good, name), value)
            signs = torch.ones(3, root.network.unstable, dtype=torch.int8)
            bound = problem.rigorous(replace(good, **{name: field}), signs)
            assert not bool(torch.isinf(bound).any())
            if name == "weights" or value != value:
                assert name == "alpha" or not bool((bound > -torch.inf).any())
