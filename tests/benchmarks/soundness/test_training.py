"""Training hides counterexamples: the planted points are unsafe, random points are not."""

import numpy as np
import onnxruntime
import pytest

from benchmarks.soundness.training import Settings, train

SMALL = Settings(inputs=9, hidden=(24,), boxes=2, steps=150, restarts=6, attack_steps=3)


def outputs(onnx: bytes, points: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"x": x[None]})[0][0] for x in points.astype(np.float32)])


@pytest.mark.parametrize("settings", [SMALL, Settings(**{**vars(SMALL), "convolution": True})])
def test_planted_points_are_unsafe_and_random_ones_safe(settings):
    hidden = train(settings, 1)
    assert hidden.planted.shape == (2, 9) and hidden.planted.dtype == np.float32
    assert bool(((hidden.lower <= hidden.planted) & (hidden.planted <= hidden.upper)).all())
    y = outputs(hidden.onnx, hidden.planted)
    assert bool((y[:, 0] < y[:, 1]).all())
    share = np.random.default_rng(0).random((200, 1, 9))
    y = outputs(hidden.onnx, (hidden.lower + share * (hidden.upper - hidden.lower)).reshape(-1, 9))
    assert float((y[:, 0] > y[:, 1]).mean()) > 0.99


def test_the_same_seed_gives_the_same_network():
    short = Settings(**{**vars(SMALL), "steps": 3})
    assert train(short, 4).onnx == train(short, 4).onnx != train(short, 5).onnx
