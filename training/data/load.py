"""From a source to `Data`: choose images, split off validation, convert.

The validation part is taken from the training images, class by class in proportion. A source without a test part gives
a fifth of its images as one, always the same ones (whatever `seed`), before anything else is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from training.data.dataset import Data, as_images, channel_statistics, check_images, digest_of, stratified
from training.data.formats import Part, read
from verify.errors import InvalidInput

TEST_SHARE = 0.2
Wanted = int | Sequence[int] | None
"""All images, a stratified random choice of so many, or exactly those at these positions."""


def load(source: str | Path | Data, *, validation: float = 0.1, train: Wanted = None, test: Wanted = None,
         seed: int = 0) -> Data:
    """The images of `source` (see `training.data.formats`; a `Data` is handed through).

    `validation`: share of the training images that is set aside, in [0, 1); `train`, `test`: how many images, or
    which (`train` counts those for validation); `seed`: of these choices. Raises `InvalidInput`.
    """
    if isinstance(source, Data):
        return source
    name = source if source == "digits" else Path(source).name
    return _assembled(str(name), *read(source), validation, train, test, seed)


def from_arrays(x_train, y_train, x_test=None, y_test=None, *, name: str = "arrays", validation: float = 0.1,
                train: Wanted = None, test: Wanted = None, seed: int = 0, classes: int | None = None) -> Data:
    """As `load`, from arrays or tensors: images uint8 or floats in [0, 1], labels whole numbers (n,). `classes`: the
    number of classes where the largest label does not tell."""
    if y_train is None or (x_test is not None and y_test is None):
        raise InvalidInput(f"{name}: images without labels; one label per image is needed")
    parts = [Part.of(np.asarray(x), np.asarray(y), f"{name} ({part})")
             for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)) if x is not None]
    return _assembled(name, parts[0], parts[1] if len(parts) > 1 else None, validation, train, test, seed, classes)


def _assembled(name: str, learn: Part, tests: Part | None, validation: float, train: Wanted, test: Wanted, seed: int,
               classes: int | None = None) -> Data:
    if not 0 <= validation < 1:
        raise InvalidInput(f"validation must be a share in [0, 1), got {validation}")
    everything = np.arange(len(learn.labels))
    if tests is None:
        held = stratified(learn.labels, round(TEST_SHARE * len(everything)), np.random.default_rng(0))
        pools = (np.setdiff1d(everything, held), held)
        tests = learn
    else:
        pools = (everything, np.arange(len(tests.labels)))
    generator = np.random.default_rng(seed)
    chosen = _chosen(learn.labels, pools[0], train, generator, f"{name} (train)")
    kept = stratified(learn.labels[chosen], round(validation * len(chosen)), generator)
    indices = (np.delete(chosen, kept), chosen[kept],
               _chosen(tests.labels, pools[1], test, np.random.default_rng(seed), f"{name} (test)"))
    if not len(indices[0]):
        raise InvalidInput(f"{name}: no training image is left of {len(chosen)} with validation share {validation}")
    sources = (learn, learn, tests)
    labels = [part.labels[index] for part, index in zip(sources, indices, strict=True)]
    count = classes or 1 + max(int(part.labels.max(initial=0)) for part in (learn, tests))
    return _data(name, sources, indices, labels, count)


def _data(name: str, sources, indices, labels, classes: int) -> Data:
    tensors = []
    for part, index, y, what in zip(sources, indices, labels, ("train", "validation", "test"), strict=True):
        x, y = as_images(part.read(index), f"{name} ({what})"), torch.from_numpy(y)
        if not len(index):
            x = x.new_zeros(0, *(tensors[0].shape[1:] if tensors else x.shape[1:]))
        check_images(x, y, classes, f"{name} ({what})")
        if tensors and x.shape[1:] != tensors[0].shape[1:]:
            raise InvalidInput(f"{name}: {what} images have shape {list(x.shape[1:])}, training images "
                               f"{list(tensors[0].shape[1:])}")
        tensors += [x, y]
    mean, std = channel_statistics(tensors[0])
    return Data(name, *tensors, classes, digest_of(*tensors), mean, std, tuple(int(i) for i in indices[2]))


def _chosen(labels: np.ndarray, pool: np.ndarray, wanted: Wanted, generator: np.random.Generator, what: str
            ) -> np.ndarray:
    """Positions out of `pool`."""
    if wanted is None:
        return pool
    if isinstance(wanted, int):
        if not 0 < wanted <= len(pool):
            raise InvalidInput(f"{what}: {wanted} images were asked for, there are {len(pool)}")
        return pool[stratified(labels[pool], wanted, generator)]
    positions = np.asarray(list(wanted), dtype=np.int64)
    if not positions.size or not np.isin(positions, pool).all():
        missing = positions[~np.isin(positions, pool)][:3].tolist()
        raise InvalidInput(f"{what}: image {missing or 'list is empty'}; positions among its {len(pool)} images are "
                           "accepted")
    return positions
