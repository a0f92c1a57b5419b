"""Rectangles at every position, against sampled ones."""

import numpy as np
import pytest
import torch

from tests.verify.specs.models import check, classes, convolution, label
from verify import specs
from verify.errors import InvalidInput, ShapeMismatch
from verify.result import Verdict

IMAGE = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(7)).numpy()
RNG = np.random.default_rng(0)


def blocks(size, stride=1):
    return [(i, j) for i in range(0, 6 - size[0], stride) for j in range(0, 6 - size[1], stride)]


def painted(size, paint, stride=1):
    images = []
    for i, j in blocks(size, stride):
        for _ in range(40):
            image = IMAGE[0].copy()
            image[:, i : i + size[0], j : j + size[1]] = paint(image[:, i : i + size[0], j : j + size[1]])
            images.append(image)
    return np.stack(images)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (4, 4)])
@pytest.mark.parametrize("seed", [0, 1])
def test_patch(size, seed):
    net = convolution(5, seed=seed)
    truth = label(net, IMAGE)
    images = painted(size, lambda block: RNG.integers(0, 2, block.shape))
    question = specs.ask(net, specs.patch(IMAGE, size, (0, 1)), specs.classified(truth))
    assert len(question.spec.cases) == len(blocks(size)) and question.model == question.original.onnx
    unsafe = classes(net, images) != truth
    net.float()
    result = check(question, unsafe)
    assert result.verdict is not Verdict.UNKNOWN
    if result.witness is not None:
        rows, columns = np.nonzero(question.point(result.witness)[0, 0] != IMAGE[0, 0])
        assert np.ptp(rows) < size[0] and np.ptp(columns) < size[1]


@pytest.mark.parametrize(("size", "opacity", "stride"), [((1, 1), (0, 1), 1), ((3, 3), (1, 1), 2), ((4, 4), (0, 1), 1)])
@pytest.mark.parametrize("seed", [0, 1])
def test_occlusion(size, opacity, stride, seed):
    net = convolution(5, seed=seed)
    truth = label(net, IMAGE)
    images = painted(size, lambda block: block + RNG.uniform(*opacity) * (0.1 - block), stride)
    unsafe = classes(net, images) != truth
    question = specs.ask(net.float(), specs.occlusion(IMAGE, size, 0.1, opacity, stride), specs.classified(truth))
    assert len(question.spec.cases) == len(blocks(size, stride))
    result = check(question, unsafe)
    assert result.verdict is not Verdict.UNKNOWN
    if result.witness is not None:
        assert question.describe(result.witness).startswith("occluded by ")


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: specs.patch(IMAGE, (6, 1), (0, 1)), InvalidInput, r"size must be \(height, width\) from 1 up to \(5, 5\)"),
    (lambda: specs.patch(IMAGE, (0, 1), (0, 1)), InvalidInput, "size must be"),
    (lambda: specs.patch([1.0, 2.0], (1, 1), (0, 1)), ShapeMismatch, r"x has shape \[2\]; a rectangle needs"),
    (lambda: specs.patch(IMAGE, (1, 1), (0, 1), stride=0), InvalidInput, "stride must be a positive number"),
    (lambda: specs.occlusion(IMAGE, (1, 1), 0, (0, 2)), InvalidInput, r"opacity must lie within \(0, 1\)"),
])
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
