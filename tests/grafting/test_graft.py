"""Grafting by hand: values, least squares and its exact cases, selections that do not fit, further rounds."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from grafting.activation import GraftedReLU
from grafting.graft import LeastSquares, graft, selected
from grafting.sites import relu_sites
from tests.grafting.toys import SHAPE, Functional, conv, images, mlp
from verify.errors import InvalidInput, ShapeMismatch


def nothing(model) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(site.shape, dtype=torch.bool) for name, site in relu_sites(model, SHAPE).items()}


def some(model, share: float = 0.5, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(mask.shape, generator=generator) < share for name, mask in nothing(model).items()}


@pytest.mark.parametrize("build", [mlp, conv, Functional])
def test_no_selection_changes_nothing_and_the_original_is_left_alone(build):
    model, x = build(), images(20)
    before = model(x).detach()
    assert torch.equal(graft(model, SHAPE, nothing(model), calibration=x)(x), before)
    changed = graft(model, SHAPE, some(model), calibration=x)
    assert torch.equal(model(x), before) and not torch.allclose(changed(x), before)
    assert [m.tolist() for m in selected(changed, SHAPE).values()] == [m.tolist() for m in some(model).values()]
    assert not any(bool(m.any()) for m in selected(model, SHAPE).values())


def test_lines_by_hand():
    model, x = mlp(), images(50)
    selection = nothing(model)
    selection["2"][[1, 4]] = True
    z = model[:2](x)
    for init, line in (("paper", 0.4 * z), ("zero", 0 * z)):
        hidden = torch.where(selection["2"], line, z.relu())
        assert torch.allclose(graft(model, SHAPE, selection, init)(x), model[3:](hidden), atol=1e-6)
    frozen = graft(model, SHAPE, selection, "zero")[2]
    assert not frozen.slope.requires_grad and graft(model, SHAPE, selection, "paper")[2].slope.requires_grad


def test_least_squares_is_numpys():
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(200, 5, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0.5, -0.5, 1000.0, -1000.0])
    z[:, 3:] -= z[:, 3:].mean(0)  # nearly the same, but shifted by what the first batch does not know
    sums = LeastSquares((5,))
    for part in z.split(70):
        sums.add(part)
    slope, intercept = sums.solve()
    for k in range(5):
        design = torch.stack([z[:, k], torch.ones(200, dtype=torch.float64)], 1)
        wanted = torch.linalg.lstsq(design, z[:, k].relu()).solution
        assert torch.allclose(torch.stack([slope[k], intercept[k]]), wanted, atol=1e-9)


def test_exact_cases_of_least_squares():
    """Constant on and off, always on and off, zero; far from the origin the variance must not cancel."""
    z = torch.tensor([[2.0, -2.0, 1.0, -1.0, 0.0, 1e4, -1e4], [2.0, -2.0, 3.0, -5.0, 0.0, 1e4 + 1e-3, -1e4 - 1e-3]])
    sums = LeastSquares((7,))
    sums.add(z[:1])
    sums.add(z[1:])
    slope, intercept = sums.solve()
    assert slope.tolist() == [1, 0, 1, 0, 1, 1, 0] and intercept.tolist() == 7 * [0]


def test_later_sites_see_the_earlier_ones_grafted():
    """With the first layer cut off, the second is constant: its line must be exact there."""
    model, x = mlp(), images(30)
    cut = graft(model, SHAPE, nothing(model) | {"2": torch.ones(12, dtype=torch.bool)}, "zero")
    both = graft(cut, SHAPE, selected(cut, SHAPE) | {"4": torch.ones(10, dtype=torch.bool)}, calibration=x)
    assert torch.allclose(both(x), cut(x), atol=1e-6)


def test_a_second_round_keeps_the_lines_of_the_first():
    model, x = Functional(), images(40)
    first = graft(model, SHAPE, some(model, 0.3), "paper")
    again = {name: mask | torch.ones_like(mask) for name, mask in selected(first, SHAPE).items()}
    second = graft(first, SHAPE, again, calibration=x)
    for name in relu_sites(second, SHAPE):
        old, new = (m.get_submodule(name) for m in (first, second))
        assert bool(new.selected.all())
        if not isinstance(old, GraftedReLU):  # nothing was chosen there
            continue
        assert torch.equal(new.slope[old.selected], old.slope[old.selected])
    with torch.no_grad():
        slopes = torch.stack([second(x[k : k + 1] + 0.1) - second(x[k : k + 1]) for k in range(5)])
    assert (slopes - slopes[0]).abs().max() < 1e-5  # all lines: the network is affine


def test_selections_that_do_not_fit():
    model = mlp()
    right = nothing(model)
    with pytest.raises(InvalidInput, match=r"unknown \['9'\], missing \['2'\]"):
        graft(model, SHAPE, {"9": right["2"], "4": right["4"]})
    with pytest.raises(ShapeMismatch, match=r"site '4': the selection has shape \[12\], the site \[10\]"):
        graft(model, SHAPE, {"2": right["2"], "4": right["2"]})
    with pytest.raises(InvalidInput, match="booleans"):
        graft(model, SHAPE, {name: mask.float() for name, mask in right.items()})
    with pytest.raises(InvalidInput, match="calibration images"):
        graft(model, SHAPE, some(model))
    with pytest.raises(InvalidInput, match=r"known are least-squares, paper, zero"):
        graft(model, SHAPE, right, "best")


def test_least_squares_beats_the_papers_start():
    model, x = conv(), images(200)
    selection, before = some(model), model(x).detach()
    errors = [F.mse_loss(graft(model, SHAPE, selection, init, x)(x), before) for init in ("least-squares", "paper")]
    assert errors[0] < errors[1] / 2
