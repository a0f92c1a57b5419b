"""Training hides counterexamples: the planted point is unsafe, and neither random points nor an attack find one."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from benchmarks.soundness.hidden import question
from benchmarks.soundness.questions import ask
from benchmarks.soundness.training import Settings, train

SMALL = Settings(inputs=16, hidden=(20, 12), steps=80)


def margins(onnx: bytes, points: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    return np.array([np.subtract(*session.run(None, {"x": x[None]})[0][0]) for x in points.astype(np.float32)])


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, convolution=True, hidden=(20,))])
def test_the_planted_point_is_unsafe_and_hard_to_find(settings):
    hidden = train(settings, 1)
    assert hidden.planted.shape == (16,) and hidden.planted.dtype == np.float32
    assert bool(((hidden.lower <= hidden.planted) & (hidden.planted <= hidden.upper)).all())
    assert margins(hidden.onnx, hidden.planted[None])[0] < 0
    share = np.random.default_rng(0).random((300, 16))
    share[::2] = share[::2].round()
    assert bool((margins(hidden.onnx, hidden.lower + share * (hidden.upper - hidden.lower)) > 0).all())
    assert ask(hidden.onnx, question(hidden), "attack", 0.3).verdict in ("unknown", "timed-out")


def test_the_same_seed_gives_the_same_network():
    short = replace(SMALL, steps=2)
    assert train(short, 4).onnx == train(short, 4).onnx != train(short, 5).onnx
