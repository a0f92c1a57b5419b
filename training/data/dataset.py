"""The data of one experiment: images in [0, 1] as float32 (n, c, h, w), labels int64 (n,), in three disjoint parts.

`train` is learned from, `val` is what decisions are made on, and `test` is looked at once, for the reported numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verify.errors import InvalidInput

LARGE_EPS, SMALL_EPS = 0.5, 1e-4


@dataclass(frozen=True, eq=False)
class Data:
    """Images and labels of all parts; `x_val` and `x_test` may be empty.

    `classes` is how many labels there can be, `digest` the sha256 of all arrays, `mean` and `std` those of the training
    images per channel. `test_index` are the positions of the test images in the source's test part (its whole set where
    the source has no test part of its own), for reports.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_val: Tensor
    y_val: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int
    digest: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    test_index: tuple[int, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(c, h, w)."""
        return tuple(self.x_train.shape[1:])

    @property
    def value_range(self) -> tuple[float, float]:
        """Least and largest pixel of all images."""
        parts = [x for x in (self.x_train, self.x_val, self.x_test) if len(x)]
        return min(float(x.min()) for x in parts), max(float(x.max()) for x in parts)


def digest_of(*tensors: Tensor) -> str:
    """sha256 over shapes, types and values, in order."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().numpy().data)
    return found.hexdigest()


def stratified(labels: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Sorted positions of `count` random entries in which every class keeps its share (to one entry).

    Systematic sampling: the entries, shuffled within their class, are lined up class by class and taken at equal
    distances."""
    order = generator.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    taken = ((np.arange(count) + generator.random()) * len(labels) / max(count, 1)).astype(np.int64)
    return np.sort(order[np.minimum(taken, len(labels) - 1)])


def channel_statistics(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of images (n, c, h, w) per channel; a constant channel gets 1, so that dividing by
    it does nothing."""
    means, deviations = [], []
    for channel in range(x.shape[1]):  # one at a time: a float64 copy of everything would be twice the data
        values = x[:, channel].double()
        means.append(float(values.mean()))
        deviation = float(values.std(correction=0))
        deviations.append(deviation if deviation > 1e-6 else 1.0)
    return tuple(means), tuple(deviations)


def check_images(x: Tensor, y: Tensor, classes: int, what: str) -> None:
    """Raises `InvalidInput` unless x is (n, c, h, w) with values in [0, 1] and y holds n labels below `classes`."""
    if x.dim() != 4:
        raise InvalidInput(f"{what}: images must have shape (n, channels, height, width), got {list(x.shape)}")
    if tuple(y.shape) != (len(x),):
        raise InvalidInput(f"{what}: {len(x)} images but labels of shape {list(y.shape)}; one label per image, "
                           f"shape [{len(x)}], is needed")
    if not len(x):
        return
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 1):
        raise InvalidInput(f"{what}: pixels range from {low:.4g} to {high:.4g}; float images must lie in [0, 1], and "
                           "uint8 images are divided by 255 here (networks normalise inside)")
    if int(y.min()) < 0 or int(y.max()) >= classes:
        raise InvalidInput(f"{what}: labels range from {int(y.min())} to {int(y.max())}; with {classes} classes they "
                           f"must be 0 to {classes - 1}")


def eps_warning(eps: float, data: Data) -> str | None:
    """One sentence if the radius `eps` looks as if it were in other units than the images', else None."""
    low, high = data.value_range
    seen = f"pixels range from {low:.4g} to {high:.4g}"
    if eps > 1:
        return (f"eps {eps:g} is larger than the whole range of values ({seen}): was it given in units of 1/255? "
                f"{eps:g}/255 = {eps / 255:.4g}")
    if eps > LARGE_EPS:
        return (f"eps {eps:g} covers more than half of the range of values ({seen}): was it given in normalised units? "
                f"Times the standard deviation it would be {eps * min(data.std):.4g}")
    if 0 < eps < SMALL_EPS:
        return (f"eps {eps:g} is less than 1/39 of a grey level ({seen}): was it divided by 255 twice? "
                f"Times 255 it would be {255 * eps:.4g}")
    return None


def as_labels(labels: np.ndarray, what: str) -> np.ndarray:
    """Labels (n,) as int64. Raises `InvalidInput` for anything that is not one whole number per image."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        hint = "; one-hot rows become labels by argmax" if labels.ndim == 2 else ""
        raise InvalidInput(f"{what}: labels must have shape [n], got {list(labels.shape)}{hint}")
    if labels.dtype.kind not in "iufb" or (labels.dtype.kind == "f" and (labels != np.round(labels)).any()):
        raise InvalidInput(f"{what}: labels must be whole numbers, got {labels.dtype}")
    return labels.astype(np.int64)


def as_images(images: np.ndarray, what: str) -> Tensor:
    """Images as float32 (n, c, h, w) in [0, 1]: uint8 NHW, NHWC or NCHW are divided by 255, floats are taken as they
    are (NCHW where both readings fit)."""
    images = np.asarray(images)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InvalidInput(f"{what}: images must be uint8 or floats, got {images.dtype}")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4:
        first = 3 if images.dtype == np.uint8 else 1
        axis = next((k for k in (first, 4 - first) if images.shape[k] in (1, 3)), None)
        if axis is None:
            raise InvalidInput(f"{what}: no channel axis (of 1 or 3) in shape {list(images.shape)}; (n, h, w), "
                               "(n, h, w, c) and (n, c, h, w) are read")
        images = np.moveaxis(images, axis, 1)
    else:
        raise InvalidInput(f"{what}: images must have shape (n, h, w), (n, h, w, c) or (n, c, h, w), got "
                           f"{list(images.shape)}")
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        raise InvalidInput(f"{what}: some pixels are not finite")
    # Channel by channel into the result: never two float copies at a time.
    result = torch.empty(images.shape, dtype=torch.float32)
    for channel in range(images.shape[1]):
        part = torch.from_numpy(np.ascontiguousarray(images[:, channel]))
        result[:, channel] = part.float() / 255 if images.dtype == np.uint8 else part.float()
    return result
