"""Brightness, contrast and bias fields, against images made by the formulas."""

import numpy as np
import pytest
import torch

from tests.verify.specs.models import check, classes, convolution, label
from verify import specs
from verify.errors import InvalidInput, ShapeMismatch
from verify.result import Verdict

GENERATOR = torch.Generator().manual_seed(5)
IMAGE = torch.rand(1, 1, 6, 6, generator=GENERATOR).numpy()
U, V = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 6), indexing="ij")
MEAN = IMAGE.astype(np.float64).mean()


def ask(region, images, clip=None, seeds=(0, 1)):
    """Verdicts on two networks, each in agreement with the images."""
    found = []
    for seed in seeds:
        net = convolution(seed=seed)
        truth = label(net, IMAGE)
        images = images if clip is None else images.clip(*clip)
        unsafe = classes(net, images) != truth
        question = specs.ask(net.float(), region, specs.classified(truth))
        result = check(question, unsafe)
        assert result.verdict is not Verdict.UNKNOWN and not (unsafe.any() and result.verdict is Verdict.VERIFIED)
        if result.witness is not None:
            assert question.point(result.witness).shape == (1, 1, 6, 6) and question.describe(result.witness)
        found.append(result.verdict)
    return found


def samples(low, high, count=500):
    return np.random.default_rng(0).uniform(low, high, (count, 1, 1, 1))


@pytest.mark.parametrize("size", [0.01, 1.0])
@pytest.mark.parametrize("clip", [None, (0, 1)])
def test_brightness(size, clip):
    ask(specs.brightness(IMAGE, (-size, size), clip), IMAGE + samples(-size, size), clip)


@pytest.mark.parametrize("about", ["mean", 0, 0.5])
def test_contrast(about):
    middle = MEAN if about == "mean" else about
    for low, high in ((0.98, 1.02), (0, 3)):
        ask(specs.contrast(IMAGE, (low, high), about), middle + samples(low, high) * (IMAGE - middle))


def test_both_at_once():
    rng = np.random.default_rng(0)
    images = MEAN + rng.uniform(0.5, 1.5, (500, 1, 1, 1)) * (IMAGE - MEAN) + rng.uniform(-0.2, 0.2, (500, 1, 1, 1))
    ask(specs.brightness_contrast(IMAGE, (-0.2, 0.2), (0.5, 1.5), clip=(0, 1)), images, (0, 1))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("weight", [0.01, 1.0])
def test_bias_field(order, weight):
    rng = np.random.default_rng(0)
    terms = [U**a * V**b for a in range(order + 1) for b in range(order + 1 - a)]
    fields = 1 + np.einsum("nk,kij->nij", rng.uniform(-weight, weight, (500, len(terms))), np.stack(terms))
    ask(specs.bias_field(IMAGE, order, weight), IMAGE * fields[:, None])


def test_the_witness_is_the_image_of_its_parameters():
    net = convolution()
    question = specs.ask(net, specs.contrast(IMAGE, (0, 9), about=0.5), specs.not_confused(label(net, IMAGE), 1)
                         if label(net, IMAGE) != 1 else specs.not_confused(1, 0))
    point = question.point(np.array([0.25], np.float32))
    np.testing.assert_allclose(point, 0.5 + 1.25 * (IMAGE - 0.5), atol=1e-6)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: specs.brightness(IMAGE, (1, 0)), InvalidInput, "change must be .low, high. with low <= high"),
    (lambda: specs.contrast(IMAGE, (-1, 1)), InvalidInput, "factor must not be negative"),
    (lambda: specs.contrast(IMAGE, (0, 1), about="median"), InvalidInput, 'about must be a number or "mean"'),
    (lambda: specs.bias_field(IMAGE, -1, 0.1), InvalidInput, "order must be a number from 0 to 10, got -1"),
    (lambda: specs.bias_field(IMAGE, 1, -0.1), InvalidInput, "weight must not be negative"),
    (lambda: specs.bias_field([0.5, 0.5], 1, 0.1), ShapeMismatch, r"x has shape \[2\]; a bias field needs"),
])
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
