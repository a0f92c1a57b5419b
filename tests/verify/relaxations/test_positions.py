import pytest
import torch

from verify.ops import Exp, Gelu, Power, Sigmoid, Sin, Tanh
from verify.relaxations.curve import curve_lines
from verify.relaxations.positions import positioned_lines, slope_ranges, start_positions
from verify.sets import Interval

OPS = {"exp": Exp(), "sin": Sin(), "square": Power(2.0), "gelu": Gelu(), "sigmoid": Sigmoid(), "tanh": Tanh()}
PRE = Interval(torch.tensor([[-2.0, -0.5, 0.2, 1.0]], dtype=torch.float64),
               torch.tensor([[-1.0, 0.7, 0.3, 4.0]], dtype=torch.float64))


@pytest.mark.parametrize("name", OPS)
def test_the_start_is_the_line_of_crown(name):
    op = OPS[name]
    lines, crown = positioned_lines(op, PRE, start_positions(op, PRE)), curve_lines(op, PRE)
    assert torch.allclose(lines.lower_slope, crown.lower_slope, atol=1e-9)
    assert torch.allclose(lines.upper_slope, crown.upper_slope, atol=1e-9)


@pytest.mark.parametrize("name", OPS)
def test_every_position_is_sound_also_beyond_the_range(name):
    op, generator = OPS[name], torch.Generator().manual_seed(0)
    positions = 3 * torch.rand(2, 1, 50, 4, generator=generator, dtype=torch.float64) - 1
    lines = positioned_lines(op, PRE, positions)
    for share in torch.linspace(0, 1, 41).double():
        z = (PRE.lower + share * PRE.width).unsqueeze(1)
        y = op.evaluate(z)
        assert bool((lines.lower_slope * z + lines.lower_intercept <= y + 1e-12).all())
        assert bool((lines.upper_slope * z + lines.upper_intercept >= y - 1e-12).all())


def test_a_square_has_all_its_tangents():
    (first, last, start), _ = slope_ranges(Power(2.0), PRE)
    assert bool((first < 2 * PRE.center).all() and (last > 2 * PRE.center).all())
    assert torch.allclose(first + start * (last - first), 2 * PRE.center)


def test_positions_are_differentiable():
    positions = start_positions(Exp(), PRE).requires_grad_()
    lines = positioned_lines(Exp(), PRE, positions)
    (gradient,) = torch.autograd.grad((lines.lower_slope * 5 + lines.lower_intercept).sum(), positions)
    assert bool((gradient[0] > 0).all())
