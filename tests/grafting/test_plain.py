"""Plain forms: the same function, and as few operators as the masks allow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grafting.graft import graft
from grafting.plain import Line, PlainGraft, plain
from grafting.sites import relu_sites
from tests.grafting.test_graft import nothing, some
from tests.grafting.toys import SHAPE, Functional, conv, images, mlp


def wild(model, selection) -> nn.Module:
    """Grafted with lines of all kinds."""
    found = graft(model, SHAPE, selection, "paper")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in found.named_parameters():
            if name.endswith((".slope", ".intercept")):
                p.copy_(torch.randn(p.shape, generator=generator))
    return found.eval()


def per_channel(model, name: str) -> nn.Module:
    """The lines of a site the same for all positions of a channel."""
    module = model.get_submodule(name)
    with torch.no_grad():
        for p in (module.slope, module.intercept):
            p.copy_(p[:, :1, :1].expand_as(p))
    return model


def kinds(model) -> list[str]:
    return [type(module).__name__ for module in model.modules() if not list(module.children())]


def same(first, second) -> bool:
    x = torch.cat([images(50), (images(50, 2) > 0.5).float()])
    return torch.allclose(first(x), second(x), atol=1e-4)


@pytest.mark.parametrize("build", [mlp, conv, lambda: conv(batch_norm=False), Functional])
@pytest.mark.parametrize("seed", range(6))
def test_equal_for_any_masks(build, seed):
    """Sites with some, all or no neurons grafted."""
    model = build()
    selection = some(model, 0.5, seed)
    for k, name in enumerate(selection):
        kind = (seed + k) % 3
        selection[name] = selection[name] if kind == 0 else torch.full_like(selection[name], kind == 1)
    changed = wild(model, selection)
    found = plain(changed, SHAPE)
    assert same(changed, found) and "GraftedReLU" not in kinds(found)
    partly = sum(bool(m.any() and not m.all()) for m in selection.values())
    none = sum(not bool(m.any()) for m in selection.values())
    assert kinds(found).count("ReLU") == none + partly
    assert sum(isinstance(m, PlainGraft) for m in found.modules()) == partly


def test_a_line_for_a_whole_layer_leaves_nothing():
    model = mlp()
    found = plain(wild(model, nothing(model) | {"2": torch.ones(12, dtype=torch.bool)}), SHAPE)
    assert kinds(found) == ["Flatten", "Linear", "ReLU", "Linear"]  # 16 x 10 is less than 16 x 12 + 12 x 10
    every = plain(wild(model, {"2": torch.ones(12, dtype=torch.bool), "4": torch.ones(10, dtype=torch.bool)}), SHAPE)
    assert kinds(every) == ["Flatten", "Linear"]
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.ReLU(), nn.Linear(2, 16))
    kept = plain(wild(narrow, {"2": torch.ones(2, dtype=torch.bool)}), SHAPE)
    assert kinds(kept) == ["Flatten", "Linear", "Linear"]  # a product would be larger


@pytest.mark.parametrize("batch_norm", [True, False])
def test_lines_of_channels_go_into_the_convolution(batch_norm):
    model = conv(batch_norm=batch_norm)
    first = next(iter(relu_sites(model, SHAPE)))
    every = nothing(model) | {first: torch.ones(3, 4, 4, dtype=torch.bool)}
    folded, apart = plain(per_channel(wild(model, every), first), SHAPE), plain(wild(model, every), SHAPE)
    assert same(folded, per_channel(wild(model, every), first)) and same(apart, wild(model, every))
    assert "Line" not in kinds(folded) and kinds(apart).count("Line") == 1
    assert kinds(folded)[:2] == (["Conv2d", "BatchNorm2d"] if batch_norm else ["Conv2d", "Conv2d"])


def test_lines_of_positions_go_into_the_linear_layer_behind_a_flatten():
    model = conv()
    found = plain(wild(model, nothing(model) | {"4": torch.ones(4, 2, 2, dtype=torch.bool)}), SHAPE)
    assert not any(isinstance(m, (Line, PlainGraft)) for m in found.modules())


def test_whole_channels_get_one_number_each():
    model = conv()
    mask = torch.zeros(3, 4, 4, dtype=torch.bool)
    mask[1] = True
    changed = per_channel(wild(model, nothing(model) | {"2": mask}), "2")
    (module,) = (m for m in plain(changed, SHAPE).modules() if isinstance(m, PlainGraft))
    assert module.keep.shape == module.s.shape == module.t.shape == (3, 1, 1)
    assert same(plain(changed, SHAPE), changed)


def test_what_is_read_twice_is_not_changed():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.relu, self.second = nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 6)

        def forward(self, x):
            z = self.first(x.flatten(1))
            y = self.relu(z)
            return self.second(y) + z + y

    torch.manual_seed(0)
    changed = wild(Twice(), {"relu": torch.ones(6, dtype=torch.bool)})
    found = plain(changed, SHAPE)
    assert same(found, changed) and kinds(found).count("Line") == 1
