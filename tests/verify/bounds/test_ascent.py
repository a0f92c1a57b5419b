from dataclasses import replace
from itertools import product

import pytest
import torch

from tests.verify.bounds.laws import roots
from tests.verify.bounds.test_compact import compact_values
from tests.verify.bounds.test_dual import random_params, random_signs
from verify.bounds.ascent import AscentOptions, ascend, project_to_simplex
from verify.bounds.dual import DualProblem

GENERATOR_SEED = 5


def test_ascent_with_splits_stays_sound():
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for what, _, box, root in roots(["mlp", "maximum"], which=(1, 2)):
        network = root.network
        problem = DualProblem.of(network)
        x = box.sample(2000, generator)
        rows, pre = compact_values(network, x.flatten(1)[:, network.varying])
        signs = random_signs(network, 30, generator)
        members = torch.rand(30, 3, generator=generator) < 0.7
        members[:, 0] = True
        weights = members.to(network.row_weight.dtype) / members.sum(1, keepdim=True)
        found = ascend(problem, problem.initial(weights), signs, members, AscentOptions(10), enough=float("inf"))
        bound = problem.rigorous(found.params, signs).double()
        agrees = ((signs.unsqueeze(1) == 0) | (signs.unsqueeze(1) * pre.unsqueeze(0) >= 0)).all(2)
        worst = torch.where(members.unsqueeze(1), rows.unsqueeze(0), -torch.inf).amax(2)
        low = torch.where(agrees, worst, torch.inf).amin(1)
        assert bool((bound <= low + 1e-6 * (1 + low.abs())).all()), what
        assert bool(torch.equal(found.params.weights > 0, (found.params.weights > 0) & members)), what


def test_ascent_never_goes_below_its_start_and_gains():
    gained = 0.0
    for what, _, _, root in roots(["mlp", "residual", "conv", "mixed"], dtypes=(torch.float64,), which=(1, 2)):
        problem = DualProblem.of(root.network)
        start = problem.initial(torch.eye(3, dtype=torch.float64))
        first = problem.backward(start).bound
        found = ascend(problem, start, options=AscentOptions(15, lr_alpha=0.25), enough=float("inf"))
        assert bool((found.bound >= first).all()), what
        assert torch.allclose(problem.backward(found.params).bound, found.bound, rtol=1e-12, atol=1e-12), what
        gained = max(gained, float((found.bound - first).max()))
    assert gained > 1e-2


def gradients(problem, params, signs):
    """What `ascend` follows, written out from the module's docstring."""
    done = problem.backward(params, signs)
    v, z = problem.relaxed_values(done)
    form = done.form[:, problem.network.inputs :]
    free = (signs == 0).to(form.dtype)
    gains = [problem.gain(z, side, done.lines) if problem.smooth else z * float(side) for side in (True, False)]
    lower, upper = form.clamp(min=0) * free * gains[0], form.clamp(max=0) * free * gains[1]
    rows = v @ problem.network.row_weight.T + problem.network.row_bias
    return {"alpha": lower, "upper": upper, "beta": -signs * z, "weights": rows}


@pytest.mark.parametrize("name", ["mlp", "residual", "mixed", "tanh"])
def test_gradients_agree_with_finite_differences(name):
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for what, _, _, root in roots([name], dtypes=(torch.float64,), which=(1, 2)):
        problem = DualProblem.of(root.network)
        params = random_params(problem, 2, generator)
        signs = random_signs(root.network, 2, generator)
        step = 1e-6
        for field, gradient in gradients(problem, params, signs).items():
            value = getattr(params, field)
            for k in range(value.shape[1]):
                if field == "beta" and not bool((signs[:, k] != 0).all()):
                    continue
                ends = []
                for sign in (1, -1):
                    moved = value.clone()
                    moved[:, k] += sign * step
                    ends.append(problem.backward(replace(params, **{field: moved}), signs).bound)
                numeric = (ends[0] - ends[1]) / (2 * step)
                assert torch.allclose(numeric, gradient[:, k], rtol=1e-4, atol=1e-5), (what, field, k)


@pytest.mark.parametrize("name", ["mlp", "mixed"])
def test_first_ascent_step_moves_along_the_gradient(name):
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    for what, _, _, root in roots([name], dtypes=(torch.float64,), which=(2,)):
        problem = DualProblem.of(root.network)
        params = random_params(problem, 3, generator)
        signs = random_signs(root.network, 3, generator)
        small = AscentOptions(1, lr_alpha=1e-5, lr_beta=1e-5, lr_weights=1e-5)
        found = ascend(problem, params, signs, None, small, enough=float("inf"))
        expected = gradients(problem, params, signs)
        better = found.bound > problem.backward(params, signs).bound
        assert bool(better.any()), what
        moved = found.params.alpha - params.alpha
        clear = (moved.abs() > 1e-7) & better.unsqueeze(1)
        assert bool((moved.sign() == expected["alpha"].sign())[clear].all()), what


def simplex_by_search(weights, members):
    """The nearest convex weights, from the best support among all subsets."""
    best = None
    free = [k for k in range(len(weights)) if members[k]]
    for mask in product((False, True), repeat=len(free)):
        support = [k for k, on in zip(free, mask, strict=True) if on]
        if support:
            shift = (sum(weights[k] for k in support) - 1) / len(support)
            point = [weights[k] - shift if k in support else 0.0 for k in range(len(weights))]
            distance = sum((a - b) ** 2 for a, b in zip(point, weights, strict=True))
            if min(point) >= 0 and (best is None or distance < best[0]):
                best = (distance, point)
    return best[1]


def test_projection_to_the_simplex_by_brute_force():
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    weights = torch.randn(60, 4, generator=generator, dtype=torch.float64) * 3
    weights[:5] = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    members = torch.rand(60, 4, generator=generator) < 0.6
    members[:, 1] = True
    # A coordinate outside the members is not part of the distance.
    reference = torch.tensor([simplex_by_search(torch.where(m, w, 0.0).tolist(), m.tolist())
                              for w, m in zip(weights, members, strict=True)], dtype=torch.float64)
    found = project_to_simplex(weights, members)
    assert torch.allclose(found, reference, atol=1e-9)
    assert torch.allclose(project_to_simplex(found, members), found, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9, 1e20])
def test_projected_weights_are_convex_at_any_scale(scale, dtype):
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    weights = (torch.randn(50, 6, generator=generator) * scale).to(dtype)
    members = torch.rand(50, 6, generator=generator) < 0.5
    members[:, 2] = True
    found = project_to_simplex(weights, members)
    assert torch.allclose(found.sum(1), torch.ones(50, dtype=dtype))
    assert bool((found >= 0).all()) and not bool(found[~members].any())
