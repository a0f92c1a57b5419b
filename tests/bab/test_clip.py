import pytest
import torch

from bab.clip import clip_boxes, joint_bounds
from verify.linear_form import LinearForm
from verify.sets import Interval

DTYPES = (torch.float64, torch.float32)


def problem(dtype, seed, n=6, r=5, i=3):
    """Random forms over random boxes, some of width 0, with zero and tiny coefficients and errors."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    coeff = normal(n, r, i)
    coeff[0, 0] = 0
    coeff[1, :, 0] = 0
    coeff[2, 1, 1] = 1e-30
    coeff[3] *= 1e6
    center, width = normal(n, i), normal(n, i).abs()
    width[4, 0] = 0
    width[5] *= 1e-9
    form = LinearForm(coeff.to(dtype), normal(n, r).to(dtype) * 0.7, (normal(n, r).abs() * 1e-3).to(dtype))
    members = torch.rand(4, r, generator=generator) < 0.5
    members[:, 0] = True
    open_ = torch.rand(n, 4, generator=generator) < 0.7
    return form, (center - width).to(dtype), (center + width).to(dtype), members, open_


def unsafe(form, x, members, open_):
    """Points x (n, k, i) that a counterexample may be: every row of an open disjunct at most its error (float64)."""
    rows = torch.einsum("nri,nki->nkr", form.coeff.double(), x.double()) + form.offset.double().unsqueeze(1)
    fits = rows <= form.error.double().unsqueeze(1)
    return ((fits.unsqueeze(2) | ~members).all(3) & open_.unsqueeze(1)).any(2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(12))
def test_clipping_keeps_every_possible_counterexample(dtype, seed):
    form, lower, upper, members, open_ = problem(dtype, seed)
    low, high = clip_boxes(form, lower, upper, members, open_)
    assert bool((low >= lower).all() and (high <= upper).all() and (low <= high).all())
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(6, 4000, 3, generator=generator, dtype=torch.float64)
    noise[:, ::4] = noise[:, ::4].round()
    x = lower.double().unsqueeze(1) + noise * (upper.double() - lower.double()).unsqueeze(1)
    x = x.maximum(lower.double().unsqueeze(1)).minimum(upper.double().unsqueeze(1))
    # Points on the borders of the half-spaces are where a missing charge would show.
    k = torch.randint(0, 5, (6, 2000), generator=generator)
    axis = torch.randint(0, 3, (6, 2000), generator=generator)
    n = torch.arange(6).unsqueeze(1)
    a = form.coeff.double()[n, k, axis]
    rest = (form.coeff.double()[n, k] * x[:, :2000]).sum(2) + form.offset.double()[n, k] - form.error.double()[n, k]
    moved = x[:, :2000].gather(2, axis.unsqueeze(2)).squeeze(2) - rest / torch.where(a == 0, 1.0, a)
    border = x[:, :2000].scatter(2, axis.unsqueeze(2), moved.unsqueeze(2))
    x = torch.cat([x, border.maximum(lower.double().unsqueeze(1)).minimum(upper.double().unsqueeze(1))], 1)
    keep = unsafe(form, x, members, open_)
    inside = ((low.double().unsqueeze(1) <= x) & (x <= high.double().unsqueeze(1))).all(2)
    assert bool((inside | ~keep).all())


def test_clipping_by_hand():
    """x1 + x2 <= 0.5 on [0, 1]^2 leaves [0, 0.5]^2; a second open disjunct brings the rest back."""
    form = LinearForm(torch.tensor([[[1.0, 1.0], [-1.0, 0.0]]]).double(), torch.tensor([[-0.5, 0.75]]).double(),
                      torch.zeros(1, 2).double())
    lower, upper = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
    one = torch.tensor([[True, False]])
    low, high = clip_boxes(form, lower, upper, one, torch.tensor([[True]]))
    assert torch.allclose(low, lower) and torch.allclose(high, torch.tensor([[0.5, 0.5]]).double(), atol=1e-9)
    both = torch.tensor([[True, False], [False, True]])
    low, high = clip_boxes(form, lower, upper, both, torch.tensor([[True, True]]))
    assert torch.allclose(low, lower) and torch.allclose(high, upper)
    low, high = clip_boxes(form, lower, upper, both, torch.tensor([[False, True]]))
    assert torch.allclose(low, torch.tensor([[0.75, 0.0]]).double(), atol=1e-9)


def test_clipping_with_numbers_that_are_not_finite_keeps_the_box():
    lower, upper = torch.zeros(1, 2), torch.ones(1, 2)
    one = torch.tensor([[True]])
    for bad in (float("nan"), float("inf"), -float("inf")):
        form = LinearForm(torch.full((1, 1, 2), bad), torch.zeros(1, 1), torch.zeros(1, 1))
        low, high = clip_boxes(form, lower, upper, one, one)
        assert torch.equal(low, lower) and torch.equal(high, upper)
    form = LinearForm(torch.ones(1, 1, 2), torch.full((1, 1), float("nan")), torch.zeros(1, 1))
    low, high = clip_boxes(form, lower, upper, one, one)
    assert torch.equal(low, lower) and torch.equal(high, upper)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(8))
def test_a_joint_bound_is_below_the_largest_row_everywhere(dtype, seed):
    """... as far as its sign goes: a positive one excludes every point where all rows are at most their error."""
    form, lower, upper, members, open_ = problem(dtype, seed, r=4)
    margins = torch.full(open_.shape, -1e3, dtype=dtype)
    found = joint_bounds(form, lower, upper, members, margins, open_)
    assert bool((found >= margins).all()) and torch.equal(found[~open_], margins[~open_])
    x = lower.double().unsqueeze(1) + torch.rand(6, 3000, 3, generator=torch.Generator().manual_seed(seed),
                                                 dtype=torch.float64) * (upper - lower).double().unsqueeze(1)
    rows = torch.einsum("nri,nki->nkr", form.coeff.double(), x) + form.offset.double().unsqueeze(1)
    rows = rows - form.error.double().unsqueeze(1)
    largest = torch.where(members, rows.unsqueeze(2), -torch.inf).amax(3).amin(1)
    spare = 1e-6 * (1 + largest.abs()) if dtype is torch.float32 else 1e-12 * (1 + largest.abs())
    raised = found > margins
    assert bool((found.double() <= largest + spare)[raised].all())


def test_joint_bounds_prove_what_no_row_proves():
    """x > 0.4 or -x > -0.6: x <= 0.4 and x >= 0.6 at once is impossible, each alone is possible."""
    form = LinearForm(torch.tensor([[[1.0], [-1.0]]]).double(), torch.tensor([[-0.4, 0.6]]).double() * 1.0,
                      torch.zeros(1, 2).double())
    lower, upper = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    members, open_ = torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 1, dtype=torch.bool)
    alone = form.minimum(Interval(lower, upper)).amax(1, keepdim=True)
    assert float(alone) < 0
    assert float(joint_bounds(form, lower, upper, members, alone, open_)) == pytest.approx(0.1, abs=1e-6)


def test_joint_bounds_do_not_depend_on_batch_mates():
    form, lower, upper, members, open_ = problem(torch.float64, 3)
    margins = torch.full(open_.shape, -1e3, dtype=torch.float64)
    together = joint_bounds(form, lower, upper, members, margins, open_)
    for k in range(6):
        one = slice(k, k + 1)
        part = LinearForm(form.coeff[one], form.offset[one], form.error[one])
        alone = joint_bounds(part, lower[one], upper[one], members, margins[one], open_[one])
        assert torch.allclose(alone, together[one], rtol=1e-12, atol=1e-12)
