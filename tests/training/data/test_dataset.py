"""Splits keep shares, images of all layouts arrive alike, and what is not an image or a label is refused by name."""

import numpy as np
import pytest
import torch

from training.data import eps_warning, from_arrays
from training.data.dataset import as_images, as_labels, channel_statistics, check_images, digest_of, stratified
from verify.errors import InvalidInput


def test_stratified_keeps_the_share_of_every_class():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    chosen = stratified(labels, 32, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 32
    assert (chosen[1:] > chosen[:-1]).all()
    assert np.abs(np.bincount(labels[chosen]) - np.array([20, 10, 2])).max() <= 1
    assert stratified(labels, 160, np.random.default_rng(0)).tolist() == list(range(160))
    assert stratified(labels, 0, np.random.default_rng(0)).size == 0


def test_all_layouts_give_the_same_tensor():
    image = np.arange(2 * 5 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 3)
    x = as_images(image, "x")
    assert x.shape == (2, 3, 5, 4) and x.dtype == torch.float32
    assert float(x[1, 2, 4, 3]) == pytest.approx(image[1, 4, 3, 2] / 255)
    assert torch.equal(x, as_images(image.transpose(0, 3, 1, 2), "x"))
    assert torch.equal(x, as_images(x.numpy(), "x"))
    assert as_images(image[..., 0], "x").shape == (2, 1, 5, 4)


@pytest.mark.parametrize(("images", "text"), [
    (np.zeros((2, 3), np.uint8), r"got \[2, 3\]"),
    (np.zeros((2, 5, 6, 7), np.uint8), "no channel axis"),
    (np.zeros((2, 5, 6), np.int32), "uint8 or floats, got int32"),
    (np.full((2, 5, 6), np.nan), "not finite"),
])
def test_what_is_no_image_is_refused(images, text):
    with pytest.raises(InvalidInput, match=text):
        as_images(images, "x")


def test_labels():
    assert as_labels(np.array([1.0, 3.0]), "y").tolist() == [1, 3]
    with pytest.raises(InvalidInput, match="one-hot rows become labels by argmax"):
        as_labels(np.eye(3), "y")
    with pytest.raises(InvalidInput, match="whole numbers"):
        as_labels(np.array([0.5]), "y")


def test_images_are_checked_against_labels_and_range():
    x, y = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])
    check_images(x, y, 3, "x")
    for bad, text in (((x, y[:2], 3), "3 images but labels of shape"), ((x * 255, y, 3), "must lie in"),
                      ((x, y, 2), "labels range from 0 to 2; with 2 classes they must be 0 to 1"),
                      ((x[0], y, 3), "must have shape")):
        with pytest.raises(InvalidInput, match=text):
            check_images(*bad, "x")


def test_statistics_by_hand():
    x = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.5]]]])
    assert channel_statistics(x) == ((0.5, 0.5), (0.5, 1.0))


def test_digest_depends_on_values_shapes_and_order():
    a, b = torch.zeros(2, 3), torch.ones(2, 3)
    digests = {digest_of(a, b), digest_of(b, a), digest_of(a), digest_of(a.reshape(3, 2), b), digest_of(a.double(), b)}
    assert len(digests) == 5
    assert digest_of(a, b) == digest_of(a.clone(), b.clone())


def test_eps_in_other_units_is_noticed():
    data = from_arrays(np.random.default_rng(0).random((20, 4, 4)), np.arange(20) % 2)
    assert eps_warning(0.1, data) is None and eps_warning(2 / 255, data) is None
    assert "pixels range from 0.0" in eps_warning(8.0, data) and "1/255" in eps_warning(8.0, data)
    assert "normalised" in eps_warning(0.7, data)
    assert "divided by 255 twice" in eps_warning(2 / 255 / 255, data)
