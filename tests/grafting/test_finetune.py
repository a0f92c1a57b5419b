"""Fine-tuning: what moves and what does not, the rates, the certified term, resuming."""

from __future__ import annotations

import pytest
import torch

from grafting.finetune import finetune, finetune_settings
from grafting.graft import graft, selected
from grafting.sites import grafted
from tests.grafting.test_graft import some
from tests.grafting.toys import SHAPE, conv, images
from training.data import from_arrays
from verify.errors import InvalidInput


def data():
    x = images(64)
    return from_arrays(x, conv()(x).argmax(1), images(10, 1), conv()(images(10, 1)).argmax(1), validation=0.2)


def model():
    base = conv()
    return graft(base, SHAPE, some(base), "paper")


def settings(**changes):
    return finetune_settings("standard", 0.05, 2, device="cpu", **changes)


def state(module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_papers_settings():
    found = finetune_settings("fgsm", 0.1, 5)
    assert (found.recipe, found.optimizer, found.lr, found.weight_decay, found.lr_schedule) == (
        "fgsm", "sgd", 0.001, 5e-4, "cosine")
    mixed = finetune_settings("fgsm", 0.1, 5, certified=0.25)
    assert mixed.recipe == "ibp" and mixed.kappa == (0.75, 0.75) and mixed.ramp[1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("certified", [0.0, 0.5])
def test_lines_learn_and_masks_stay(certified):
    net = model()
    before, masks = state(net), selected(net, SHAPE)
    finetune(net, data(), settings(certified=certified))
    after = state(net)
    assert all(torch.equal(a, b) for a, b in zip(masks.values(), selected(net, SHAPE).values(), strict=True))
    for name, module in grafted(net):
        moved = after[f"{name}.slope"] != before[f"{name}.slope"]
        assert moved.any() and not (moved & ~module.selected).any()
    assert not torch.equal(after["0.weight"], before["0.weight"])


def test_frozen_weights_do_not_move_and_thaw_again():
    net = model()
    before = state(net)
    finetune(net, data(), settings(), freeze_weights=True)
    moved = {name for name, value in state(net).items() if not torch.equal(value, before[name])}
    lines = {f"{name}.{part}" for name, _ in grafted(net) for part in ("slope", "intercept")}
    assert moved <= lines | {"1.num_batches_tracked"} and moved & lines
    assert all(p.requires_grad for p in net.parameters()) and net[1].momentum == 0.1


def test_zero_lines_stay_zero():
    base = conv()
    net = graft(base, SHAPE, some(base), "zero")
    with pytest.raises(InvalidInput, match="no grafted neurons whose lines are trained"):
        finetune(net, data(), settings())
    with pytest.raises(InvalidInput, match="no grafted neurons"):
        finetune(base, data(), settings())


def test_resumes(tmp_path):
    whole, parts, seen = model(), model(), []

    def interrupt(epoch):
        seen.append(epoch.number)
        if len(seen) == 1:
            raise KeyboardInterrupt

    finetune(whole, data(), settings())
    with pytest.raises(KeyboardInterrupt):
        finetune(parts, data(), settings(), run=tmp_path, on_epoch=interrupt)
    again = model()
    finetune(again, data(), settings(), run=tmp_path, on_epoch=interrupt)
    assert seen[-1] == 2 and all(torch.equal(a, b) for a, b in zip(state(whole).values(), state(again).values(),
                                                                    strict=True))


def test_refused():
    with pytest.raises(InvalidInput, match=r"in \[0, 1\]"):
        finetune_settings("fgsm", 0.1, 5, certified=2.0)
    with pytest.raises(InvalidInput, match="ibp or crown-ibp"):
        finetune_settings("fgsm", 0.1, 5, certified=0.5, by="fgsm")
    with pytest.raises(InvalidInput, match="positive"):
        finetune(model(), data(), settings(), line_rate=0.0)
