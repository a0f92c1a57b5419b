"""Sizes of the published networks, and the promises of `build`."""

import pytest
import torch

from training.models import ARCHITECTURES, Normalize, build, relu_count
from verify.errors import InvalidInput

CIFAR, MNIST = (3, 32, 32), (1, 28, 28)


# ReLU counts as published: DeepPoly's table of networks, VNN-COMP 2021, beta-CROWN, the pruning and the grafting paper.
@pytest.mark.parametrize(("arch", "shape", "count"), [
    ("cnn-b", CIFAR, 16_634), ("cnn-a", CIFAR, 6_244), ("conv-small", MNIST, 3_604), ("conv-small", CIFAR, 4_852),
    ("conv-med", MNIST, 5_704), ("conv-med", CIFAR, 7_144), ("conv-big", MNIST, 48_064), ("conv-big", CIFAR, 62_464),
    ("resnet-2b", CIFAR, 6_244), ("resnet-4b", CIFAR, 14_436), ("pruning-7", CIFAR, 75_876),
    ("cnn-17m", CIFAR, 229_888), ("mlp-3x100", MNIST, 300), ("cnn-tiny", MNIST, 8 * 14 * 14 + 16 * 7 * 7 + 64),
])
def test_relu_counts_are_the_published_ones(arch, shape, count):
    assert relu_count(build(arch, shape, 10), shape) == count


def test_parameters_of_the_large_networks():
    count = {arch: sum(p.numel() for p in build(arch, CIFAR, 10).parameters()) for arch in ("cnn-17m", "pruning-7")}
    assert 17.1e6 < count["cnn-17m"] < 17.3e6
    assert 0.66e6 < count["pruning-7"] < 0.68e6
    assert build("pruning-7", MNIST, 10).fc1.in_features == 1152


@pytest.mark.parametrize("arch", [*ARCHITECTURES, "mlp-2x7"])
def test_every_architecture_takes_other_images_and_classes(arch):
    model = build(arch, (2, 22, 25), 4, mean=(0.1, 0.2), std=(0.5, 1.0)).eval()
    assert isinstance(model[0], Normalize)
    assert model(torch.rand(2, 2, 22, 25)).shape == (2, 4)


def test_normalisation_by_hand():
    x = torch.tensor([[[[0.5]], [[1.0]]]])
    assert Normalize((0.25, 0.5), (0.5, 0.25))(x).flatten().tolist() == [0.5, 2.0]


def test_seeds_decide_everything_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = (build("cnn-tiny", (1, 8, 8), 10, seed=s).fc1.weight for s in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_counting_leaves_training_flags():
    model = build("cnn-tiny", (1, 8, 8), 10)
    model.bn1.eval()
    relu_count(model, (1, 8, 8))
    assert model.training and not model.bn1.training and model.bn2.training


@pytest.mark.parametrize(("arguments", "text"), [
    (("cnn-z", CIFAR, 10), "unknown architecture 'cnn-z'; there are conv-small"),
    (("mlp-0x5", CIFAR, 10), "unknown architecture"),
    (("conv-small", (1, 8, 8), 10), "conv-small needs larger images than 8 x 8"),
    (("cnn-b", (3072,), 10), r"got \[3072\]"),
    (("cnn-b", CIFAR, 1), "at least two classes"),
    (("cnn-b", CIFAR, 10, (0.5,)), "images of 3 channels need 3"),
    (("cnn-b", CIFAR, 10, (0.5,) * 3, (0.0, 1, 1)), "std must be positive"),
])
def test_errors_name_the_culprit(arguments, text):
    with pytest.raises(InvalidInput, match=text):
        build(*arguments)
