import pytest
import torch

from verify.linear_form import LinearForm
from verify.sets import Interval


def test_by_hand():
    form = LinearForm(torch.tensor([[[1.0, -2.0]]]), torch.tensor([[3.0]]))
    box = Interval(torch.tensor([[0.0, -1.0]]), torch.tensor([[2.0, 1.0]]))
    assert form.minimum(box).item() == 1.0


def test_zero_width_box_gives_the_value():
    coeff = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    form = LinearForm(coeff, torch.zeros(2, 3, dtype=torch.float64))
    assert torch.allclose(form.minimum(Interval(x, x)), (coeff @ x.unsqueeze(2)).squeeze(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_with_error_the_minimum_is_below_the_exact_one(dtype, scale):
    """Exact: Fractions at the minimising corner."""
    from fractions import Fraction

    generator = torch.Generator().manual_seed(2)
    coeff = torch.randn(4, 3, 9, generator=generator).to(dtype) * scale
    offset = torch.randn(4, 3, generator=generator).to(dtype)
    center = torch.randn(4, 9, generator=generator).to(dtype) * 100
    width = torch.rand(4, 9, generator=generator) * torch.tensor([1e-7, 0, 1, 10, 1e3, 1, 1, 0, 1e-3])
    width = width.to(dtype)
    box = Interval(center - width, center + width)
    bound = LinearForm(coeff, offset, torch.zeros_like(offset)).minimum(box)
    for n in range(4):
        for r in range(3):
            total = Fraction(offset[n, r].item())
            for i in range(9):
                c = Fraction(coeff[n, r, i].item())
                total += min(c * Fraction(box.lower[n, i].item()), c * Fraction(box.upper[n, i].item()))
            assert Fraction(bound[n, r].item()) <= total
            loss = 1e-4 * (1 + scale * 1e3) * (1e-7 if dtype is torch.float64 else 1)
            assert float(total) - bound[n, r].item() <= loss


def test_error_is_subtracted():
    form = LinearForm(torch.ones(1, 1, 1), torch.zeros(1, 1), torch.full((1, 1), 0.5))
    box = Interval(torch.zeros(1, 1), torch.ones(1, 1))
    assert -0.51 < form.minimum(box).item() <= -0.5
