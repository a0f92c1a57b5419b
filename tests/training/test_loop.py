from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.training.toy import conv, mlp, patterns
from training.loop import accuracy, device_of, train
from training.settings import RECIPES, settings_for
from verify.errors import InvalidInput

SHORT = {"epochs": 3, "batch": 32, "eps": 0.05, "device": "cpu"}


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


class Stop(Exception):
    pass


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_learns(recipe):
    model, data = mlp(), patterns()
    settings = settings_for(recipe, epochs=12, batch=16, eps=0.05, optimizer="adam", lr=0.01, lr_drops=(0.8,),
                            device="cpu")
    history = train(model, data, settings)
    assert [epoch.number for epoch in history] == list(range(1, 13))
    assert accuracy(model, data.x_test, data.y_test) > 0.9 and history[-1].loss < history[0].loss + 0.7
    assert history[-1].validation > 0.9 and history[-1].robust is None and not model.training
    assert history[-1].eps == pytest.approx(0.05) and history[-1].rate == pytest.approx(0.01 * settings.lr_factor)


@pytest.mark.parametrize(("recipe", "options"), [
    ("pgd-at", {"nrs": 0.01, "shift": 1, "flip": True, "lr_schedule": "cosine"}),
    ("crown-ibp", {"rs": 0.01, "keep": "best", "ramp": (0.0, 0.5)}), ("trades", {"optimizer": "adamw"}),
])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path, recipe, options):
    """Interrupted between epochs and in the middle of one; compared bit by bit."""
    settings = settings_for(recipe, **{**SHORT, "epochs": 4, **options})
    whole, data = conv(), patterns()
    expected = train(whole, data, settings)
    for where in (3, 7):  # steps; an epoch has three or four
        model, run, steps = conv(), tmp_path / str(where), 0

        def interrupt(_, stop=where):
            nonlocal steps
            steps += 1
            if steps == stop:
                raise Stop

        with pytest.raises(Stop):
            train(model, data, settings, run=run, after_step=interrupt)
        torch.rand(17)  # other work in between must not matter
        again = conv()
        history = train(again, data, settings, run=run)
        assert same(whole, again)
        assert [(e.loss, e.accuracy, e.validation, e.robust) for e in history] == [
            (e.loss, e.accuracy, e.validation, e.robust) for e in expected]
        third = conv()
        assert train(third, data, settings, run=run) == history and same(third, whole)


def test_runs_do_not_disturb_the_callers_generator():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    train(conv(), patterns(), settings_for("fgsm", **SHORT))
    assert torch.equal(torch.rand(3), expected)


def test_seeds_matter():
    runs = []
    for seed in (0, 0, 1):
        model = mlp()
        train(model, patterns(), settings_for("standard", seed=seed, **SHORT))
        runs.append(model)
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    data, settings = patterns(), settings_for("standard", **SHORT)
    train(mlp(), data, settings, run=tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    for model, other in ((mlp(1), settings), (mlp(), settings_for("standard", **{**SHORT, "lr": 0.5}))):
        with pytest.raises(InvalidInput, match="belongs to a run with other settings, data or starting weights"):
            train(model, data, other, run=tmp_path)
    with pytest.raises(InvalidInput, match="other settings"):
        train(mlp(), patterns(30), settings, run=tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_masks_and_parameter_groups():
    model, data = mlp(), patterns()
    start = weights(model)
    mask = (torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    groups = [{"params": [model[1].weight], "lr": 0.0}, {"params": [model[3].weight]}]
    epochs = []

    def masked(module):
        with torch.no_grad():
            module[3].weight *= mask

    train(model, data, settings_for("standard", **SHORT), after_step=masked, groups=groups, on_epoch=epochs.append)
    assert torch.equal(model[1].weight, start["1.weight"]) and torch.equal(model[5].weight, start["5.weight"])
    assert not bool(model[3].weight[mask == 0].any()) and bool(model[3].weight[mask == 1].any())
    assert len(epochs) == SHORT["epochs"]


def test_the_best_epoch_is_kept():
    """At a learning rate that destroys what was learned, an earlier epoch is better."""
    data, model, kept = patterns(), mlp(), []
    settings = settings_for("standard", keep="best", **{**SHORT, "epochs": 6, "lr": 3.0})

    def watch(epoch):
        kept.append((epoch.robust, weights(model)))

    train(model, data, settings, on_epoch=watch)
    best = max(score for score, _ in kept)
    first = next(state for score, state in kept if score == best)
    assert all(torch.equal(first[name], value) for name, value in model.state_dict().items())
    with pytest.raises(InvalidInput, match="there are none"):
        train(mlp(), without_validation(), settings)


def without_validation():
    data = copy.copy(patterns())
    for name in ("x_val", "y_val"):
        object.__setattr__(data, name, getattr(data, name)[:0])
    return data


def test_no_validation_images_no_validation_accuracy():
    history = train(mlp(), without_validation(), settings_for("standard", **SHORT))
    assert [epoch.validation for epoch in history] == [None] * 3


def test_what_cannot_be_trained_is_refused():
    data = patterns()
    with pytest.raises(InvalidInput, match=r"epoch \d: the loss is no longer a number; a smaller --lr"):
        train(mlp(), data, settings_for("standard", optimizer="sgd", **{**SHORT, "lr": 1e30}))
    with pytest.raises(InvalidInput, match="no parameters"):
        train(mlp().requires_grad_(False), data, settings_for("standard", **SHORT))
    with pytest.raises(InvalidInput, match=r"does not take images of shape \[1, 4, 4\]"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(5, 4)), data, settings_for("standard", **SHORT))
    with pytest.raises(InvalidInput, match=r"has shape \[1, 3\]; the data have 4 classes"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), data, settings_for("standard", **SHORT))
    with pytest.raises(InvalidInput, match="no batch normalisation"):
        train(mlp(), data, settings_for("standard", l1_scales=0.1, **SHORT))
    with pytest.raises(InvalidInput, match="no ReLU"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), data, settings_for("standard", rs=0.1, **SHORT))
    with pytest.raises(InvalidInput, match="--amp needs a CUDA device"):
        device_of(settings_for("standard", device="cpu", amp=True))
    if not torch.cuda.is_available():
        with pytest.raises(InvalidInput, match="there is no such CUDA device"):
            device_of(settings_for("standard", device="cuda"))


def test_slimming_makes_scales_small():
    ends = []
    for weight in (0.0, 0.1):
        model = conv()
        train(model, patterns(), settings_for("standard", l1_scales=weight, **{**SHORT, "lr": 0.01}))
        ends.append(model[1].weight.abs().sum().item())
    assert ends[1] < ends[0]
