"""The schedule end to end on small digits: ratios, rewinding, exact resumption, selection, export, refusals."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from pruning.mask import Mask
from pruning.measure import Check
from pruning.plan import Plan
from pruning.prune import keeper, prune, select, stop_reason
from pruning.rounds import Round, digest
from pruning.schedule import restore, saved
from training.data import Data, from_arrays
from training.loop import train
from training.settings import settings_for
from verify.errors import InvalidInput

SETTINGS = settings_for("standard", epochs=2, eps=0.02, batch=16, lr=0.01, device="cpu")
PLAN = Plan(remaining=(0.5, 0.25), check_images=16, score_images=64, max_drop_clean=1, max_drop_pgd=1)


@pytest.fixture(scope="module")
def data() -> Data:
    """Three classes of blurred corners, 6 x 6."""
    generator = np.random.default_rng(0)
    y = generator.integers(3, size=400)
    x = generator.random((400, 6, 6)) * 0.5
    for label, corner in enumerate((np.s_[:3, :3], np.s_[3:, :3], np.s_[3:, 3:])):
        x[(y == label, *corner)] += 0.4
    return from_arrays(x.astype(np.float32), y, validation=0.2, name="corners")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, bias=False),
                         nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 3))


def digests(pruned) -> list[str]:
    return [digest(made.state()) for made in pruned.rounds]


def test_a_schedule_of_single_weights(data, tmp_path):
    model, initial = network(), digest(saved(network()))
    seen: list[int] = []
    found = prune(model, data, SETTINGS, PLAN, tmp_path, on_round=lambda made: seen.append(made.index))
    assert seen == [0, 1, 2] and found.stopped == ""
    assert [made.remaining for made in found.rounds] == [1, 243 / 486, round(0.25 * 486) / 486]
    previous = None
    for made in found.rounds:
        mask, state = made.mask(), made.state()
        assert all(not state[name][~keep].any() for name, keep in mask.keep.items())
        assert previous is None or all(not (keep & ~previous.keep[name]).any() for name, keep in mask.keep.items())
        assert made.whole > made.remaining or made.index == 0
        previous = mask
    assert found.onnx.read_bytes() == found.best.onnx.read_bytes() and found.onnx == tmp_path / "model.onnx"
    assert digest(saved(model)) == digest(found.best.state())
    assert digest(torch.load(tmp_path / "initial.pt")) == initial
    assert found.dense.check.clean > 0.8, "the task is learned at all"


def test_rounds_start_from_the_initial_weights(data, tmp_path):
    """A round is what training the masked initial network gives, bit by bit."""
    model = network()
    found = prune(model, data, SETTINGS, PLAN, tmp_path)
    again, mask = network(), found.rounds[2].mask()
    mask.apply(again)
    train(again, data, SETTINGS, after_step=keeper(mask))
    assert digest(saved(again)) == digests(found)[2]


def test_rewinding_to_an_epoch_and_not_at_all(data, tmp_path):
    late = prune(network(), data, SETTINGS, dataclasses.replace(PLAN, rewind="epoch:1"), tmp_path / "late")
    early = network()
    states = []
    train(early, data, SETTINGS, on_epoch=lambda epoch: states.append(saved(early)))
    assert digest(torch.load(tmp_path / "late" / "rewind.pt")) == digest(states[0])
    mask = late.rounds[1].mask()
    restore(early, states[0])
    mask.apply(early)
    train(early, data, SETTINGS, after_step=keeper(mask))
    assert digest(saved(early)) == digests(late)[1]
    tuned = prune(network(), data, SETTINGS, dataclasses.replace(PLAN, rewind="none"), tmp_path / "none")
    restore(early, tuned.rounds[0].state())
    mask.apply(early)
    train(early, data, SETTINGS, after_step=keeper(mask))
    assert digests(tuned)[0] == digests(late)[0] and digest(saved(early)) == digests(tuned)[1]


class Stop(Exception):
    pass


@pytest.mark.parametrize("where", ["round 1", "epoch 1", "epoch 5"])
def test_an_interrupted_schedule_goes_on_exactly(data, tmp_path, where):
    plan = dataclasses.replace(PLAN, criterion="taylor", rewind="epoch:1")
    whole = prune(network(), data, SETTINGS, plan, tmp_path / "whole")
    epochs = []

    def on_epoch(epoch):
        epochs.append(epoch)
        if where == f"epoch {len(epochs)}":
            raise Stop

    def on_round(made):
        if where == f"round {made.index}":
            raise Stop

    with pytest.raises(Stop):
        prune(network(), data, SETTINGS, plan, tmp_path / "parts", on_round=on_round, on_epoch=on_epoch)
    assert not (tmp_path / "parts" / "model.onnx").exists()
    parts = prune(network(), data, SETTINGS, plan, tmp_path / "parts", on_epoch=epochs.append)
    assert digests(parts) == digests(whole)
    assert [made.check for made in parts.rounds] == [made.check for made in whole.rounds]
    assert len(set(epochs)) == 6, "nothing that was finished is trained again"


def test_a_lost_copy_of_the_epoch_to_rewind_to_is_made_again(data, tmp_path):
    """Interrupted after the checkpoint of that epoch, before our copy of it; or the copy was removed later."""
    plan = dataclasses.replace(PLAN, rewind="epoch:1")
    whole = prune(network(), data, SETTINGS, plan, tmp_path / "whole")

    for number in (1, 2):
        def on_epoch(epoch, number=number):
            if epoch.number == number:
                raise Stop

        folder = tmp_path / f"parts {number}"
        with pytest.raises(Stop):
            prune(network(), data, SETTINGS, plan, folder, on_epoch=on_epoch)
        (folder / "rewind.pt").unlink()
        assert digests(prune(network(), data, SETTINGS, plan, folder)) == digests(whole)


def test_another_schedule_in_the_same_folder_is_refused(data, tmp_path):
    prune(network(), data, SETTINGS, PLAN, tmp_path)
    for changes, message in (({"plan": dataclasses.replace(PLAN, criterion="random")}, "another plan.criterion"),
                             ({"settings": dataclasses.replace(SETTINGS, eps=0.1)}, "another settings.eps"),
                             ({"model": network(1)}, "another initial")):
        given = {"model": network(), "settings": SETTINGS, "plan": PLAN} | changes
        with pytest.raises(InvalidInput, match=message):
            prune(given["model"], data, given["settings"], given["plan"], tmp_path)


@pytest.mark.parametrize("criterion", ["random", "nrs"])
def test_channels_are_cut_out(data, tmp_path, criterion):
    plan = dataclasses.replace(PLAN, criterion=criterion, structured=True, scope="all")
    found = prune(network(), data, SETTINGS, plan, tmp_path)
    assert [made.remaining for made in found.rounds] == [1, 12 / 24, 6 / 24]
    sizes = [made.parameters for made in found.rounds]
    assert sizes[2] < sizes[1] < sizes[0] == sum(value.numel() for value in network().parameters())
    last = found.rounds[2]
    assert set(last.files) == {"masked.onnx", "model.onnx"}
    x = data.x_test[:1].numpy()
    outputs = [onnxruntime.InferenceSession(last.folder / name).run(None, {"input": x})[0] for name in last.files]
    np.testing.assert_allclose(*outputs, atol=1e-5)
    assert last.difference < 1e-4


@pytest.mark.parametrize("criterion", ["snip", "grasp", "synflow", "hydra"])
def test_scores_at_the_initial_weights(data, tmp_path, criterion):
    plan = dataclasses.replace(PLAN, criterion=criterion, when="init", remaining=(0.3,), score_epochs=1)
    found = prune(network(), data, SETTINGS, plan, tmp_path)
    assert found.rounds[1].remaining == pytest.approx(0.3, abs=0.002)


def test_a_trained_network_is_taken_as_it_is(data, tmp_path):
    model = network()
    train(model, data, SETTINGS)
    dense = saved(model)
    found = prune(model, data, SETTINGS, dataclasses.replace(PLAN, rewind="none"), tmp_path, dense=dense)
    assert digests(found)[0] == digest(dense)
    with pytest.raises(InvalidInput, match="was not seen"):
        prune(model, data, SETTINGS, dataclasses.replace(PLAN, rewind="epoch:1"), tmp_path / "late", dense=dense)
    with pytest.raises(InvalidInput, match="do not fit"):
        prune(nn.Sequential(network()), data, SETTINGS, PLAN, tmp_path / "other", dense=dense)


@pytest.mark.parametrize(("changes", "message"), [
    ({"criterion": "slimming", "structured": True, "scope": "all"}, "'7.weight' has none"),
    ({"rewind": "epoch:9"}, "have 2 epochs"), ({"rewind": "somewhere"}, "init, none, or epoch:K"),
    ({"remaining": (0.0001,)}, "fewer than one"), ({"criterion": "instability"}, "not weights"),
])
def test_what_cannot_work_is_refused_before_anything_is_written(data, tmp_path, changes, message):
    with pytest.raises(InvalidInput, match=message):
        prune(network(), data, SETTINGS, dataclasses.replace(PLAN, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_validation_images(data, tmp_path):
    without = dataclasses.replace(data, x_val=data.x_val[:0], y_val=data.y_val[:0])
    with pytest.raises(InvalidInput, match="validation images"):
        prune(network(), without, SETTINGS, PLAN, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def rounds(*checks: tuple[float, float, float]) -> list[Round]:
    return [Round(k, 0.5**k, 0.5**k, 1, Check(100, clean, 100, pgd, verified, 0), 0, {}, None)
            for k, (clean, pgd, verified) in enumerate(checks)]


def test_stop_rules_and_selection():
    plan = Plan(max_drop_clean=0.02, max_drop_pgd=0.05, patience=2)
    better = rounds((0.9, 0.8, 0.3), (0.89, 0.8, 0.5), (0.88, 0.75, 0.5))
    assert stop_reason(better, plan) == "" and select(better, plan) == 2, "of equals the smaller"
    costly = [*better, *rounds(*[(0.9, 0.8, 0)] * 3, (0.87, 0.8, 0.9))[3:]]
    assert "clean validation accuracy fell from 90.0% to 87.0%" in stop_reason(costly, plan)
    assert select(costly, plan) == 2, "what lost too much cannot be selected"
    assert "pgd validation" in stop_reason(rounds((0.9, 0.8, 0.3), (0.9, 0.7, 0.6)), plan)
    flat = rounds((0.9, 0.8, 0.3), (0.9, 0.8, 0.5), (0.9, 0.8, 0.5), (0.9, 0.8, 0.4))
    assert stop_reason(flat[:3], plan) == "" and "not risen for 2 rounds" in stop_reason(flat, plan)
    assert select(rounds((0.9, 0.8, 0.7), (0.9, 0.8, 0.2)), plan) == 0, "the dense network may be the best"


def test_a_schedule_stops(data, tmp_path):
    plan = dataclasses.replace(PLAN, remaining=(0.9, 0.8, 0.02, 0.015), max_drop_clean=0.1)
    found = prune(network(), data, SETTINGS, plan, tmp_path)
    assert "clean validation accuracy fell" in found.stopped and len(found.rounds) < 5
    assert found.selected < len(found.rounds) - 1


def test_keeper_holds_the_mask():
    model = network()
    mask = Mask.ones(model).narrowed({name: torch.zeros_like(unit) for name, unit in Mask.ones(model).units().items()})
    copied = copy.deepcopy(model)
    keeper(mask)(copied)
    assert not copied[0].weight.any() and not copied[3].weight.any() and copied[7].weight.any()
