"""Each rule alone: which outputs are constant, what is read, what is written."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.channels import Rule, Value, trace
from pruning.operations import rules_of
from pruning.rules import Channelwise, Fixed, Flat, Join, Layer, Source, Sum, Whole, part_of


def rule_of(module: nn.Module, shape: tuple[int, ...], kind: type[Rule]) -> Rule:
    return next(rule for rule in rules_of(trace(module), shape) if isinstance(rule, kind))


def marks(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


def value(constant: torch.Tensor, *rest: int, content: float = 0.0) -> Value:
    return Value.of(constant, torch.full((len(constant), *rest), content, dtype=torch.float64))


def test_linear_layers_fold_constants_and_read_the_rest():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2, 0], [0, 5, 0]]))
    rule = rule_of(nn.Sequential(layer), (3,), Layer)
    x = value(marks(0, 1, 0), content=2.0)
    assert rule.constants(x).constant.tolist() == [False, True]
    assert rule.constants(x).content[1].item() == pytest.approx(10 + layer.bias[1].item())
    assert rule.reads(marks(1, 0), x)[0].tolist() == [True, False, False]
    assert rule.reads(marks(0, 1), x)[0].tolist() == [True, False, False], "one stays though nothing is needed"


@pytest.mark.parametrize(("padding", "mode", "content", "read"), [
    (0, "zeros", 1.0, False), (1, "zeros", 1.0, True), (1, "zeros", 0.0, False), (1, "circular", 1.0, False),
    ("same", "zeros", 1.0, True), ("valid", "zeros", 1.0, False)])
def test_constants_in_front_of_a_convolution(padding, mode, content, read):
    rule = rule_of(nn.Sequential(nn.Conv2d(2, 2, 3, padding=padding, padding_mode=mode)), (2, 5, 5), Layer)
    assert rule.reads(marks(1, 1), value(marks(0, 1), 5, 5, content=content))[0].tolist() == [True, read]


def test_an_uneven_constant_is_read():
    rule = rule_of(nn.Sequential(nn.Conv2d(2, 2, 3)), (2, 5, 5), Layer)
    x = Value.of(marks(0, 1), torch.arange(50, dtype=torch.float64).reshape(2, 5, 5))
    assert rule.reads(marks(1, 1), x)[0].tolist() == [True, True]


class Plus(nn.Module):
    def __init__(self, one, other, sign=1):
        super().__init__()
        self.one, self.other, self.sign = one, other, sign

    def forward(self, x):
        return self.one(x) + self.other(x) if self.sign > 0 else self.one(x) - self.other(x)


def test_sums_keep_both_sides_alike_unless_one_is_constant():
    rule = rule_of(Plus(nn.Linear(3, 2), nn.Linear(3, 2), -1), (3,), Sum)
    vary, half, fixed = value(marks(0, 0)), value(marks(1, 0), content=1.0), value(marks(1, 1), content=2.0)
    assert rule.constants(half, fixed).constant.tolist() == [True, False]
    assert rule.constants(half, fixed).content[0] == -1
    assert [m.tolist() for m in rule.reads(marks(1, 1), vary, half)] == [[True, True]] * 2
    assert [m.tolist() for m in rule.reads(marks(1, 1), fixed, half)] == [[False, False], [True, True]]
    assert [m.tolist() for m in rule.reads(marks(1, 0), fixed, half)] == [[True, False], [False, False]]
    assert rule.yields(marks(1, 1), (marks(1, 0), marks(0, 0)), (vary, fixed)).tolist() == [True, False]


def test_pooling_and_factors():
    rule = rule_of(nn.Sequential(nn.AvgPool2d(3, 1, 1)), (2, 4, 4), Channelwise)
    found = rule.constants(value(marks(1, 0), 4, 4, content=1.0))
    assert found.content[0, 0, 0].item() == pytest.approx(4 / 9) and found.content[1].eq(0).all()
    assert rule.reads(marks(1, 0), found)[0].tolist() == [True, False]

    class Times(nn.Module):
        def forward(self, x):
            return x * torch.tensor([[0.0, 2.0]]) + 1

    times = rule_of(Times(), (2,), Channelwise)
    assert times.constants(value(marks(0, 0))).constant.tolist() == [True, False]


def test_flatten_turns_channels_into_blocks():
    rule = rule_of(nn.Sequential(nn.Flatten()), (2, 1, 3), Flat)
    assert rule.block == 3
    assert rule.reads(marks(0, 0, 0, 0, 1, 0), value(marks(0, 0), 1, 3))[0].tolist() == [False, True]
    assert rule.yields(marks(*[0] * 6), (marks(0, 1),), ()).tolist() == [False] * 3 + [True] * 3


class Around(nn.Module):
    """Permuted (everything stays), and joined with a constant."""

    def forward(self, x):
        y = x.permute(0, 2, 1)
        return torch.cat([y, torch.ones(1, 2, 3), x.reshape(x.shape[0], 4, 3)], 1)


def test_sources_fixed_values_joins_and_moves():
    rules = rules_of(trace(Around()), (3, 4))
    assert [type(rule) for rule in rules] == [Source, Whole, Whole, Fixed, Join]
    assert all(mask.all() for mask in rules[1].reads(marks(1, 0, 0, 0), value(marks(0, 0, 0), 4)))
    assert rules[3].constants().constant.tolist() == [True, True]
    parts = value(marks(0, 0, 0, 0), 3), rules[3].constants(), value(marks(0, 0, 0, 0), 3)
    joined = rules[-1].constants(*parts)
    assert joined.constant.tolist() == [False] * 4 + [True] * 2 + [False] * 4 and joined.content[4].eq(1).all()
    assert [len(mask) for mask in rules[-1].reads(marks(*[1] * 10), *parts)] == [4, 2, 4]


def test_parts_of_parameters_stay_parameters():
    weight = nn.Parameter(torch.ones(3), requires_grad=False)
    part = part_of(weight, weight[:2])
    assert isinstance(part, nn.Parameter) and not part.requires_grad and part.shape == (2,)
