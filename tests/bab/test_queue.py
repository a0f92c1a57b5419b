import random

import torch

from bab.domains import SubproblemBatch
from bab.queue import Queue


def batch(lowers, tags):
    return SubproblemBatch(torch.tensor(lowers), torch.zeros(len(lowers), dtype=torch.int64),
                           {"tag": torch.tensor(tags)})


def test_random_pushes_and_pops_against_a_list():
    """Nothing is lost, nothing comes twice, the worst come first, and the memory returns to 0."""
    rng, queue, model, tag = random.Random(0), Queue(), [], 0
    for _ in range(300):
        if rng.random() < 0.5:
            size = rng.randint(0, 6)
            lowers = [float(rng.randint(-5, 5)) for _ in range(size)]
            tags = list(range(tag, tag + size))
            tag += size
            queue.push(batch(lowers, tags) if size else batch([1.0], [0])[torch.zeros(1, dtype=torch.bool)])
            model += list(zip(lowers, tags, strict=True))
        elif model:
            count = rng.randint(1, 8)
            taken = queue.pop(count)
            got = sorted(zip(taken.lower.tolist(), taken.tag.tolist(), strict=True))
            assert len(got) == min(count, len(model))
            assert sorted(low for low, _ in got) == sorted(low for low, _ in model)[: len(got)]
            for item in got:
                model.remove(item)
        assert len(queue) == len(model)
        assert queue.least == min((low for low, _ in model), default=float("inf"))
    while len(queue):
        taken = queue.pop(3)
        for item in zip(taken.lower.tolist(), taken.tag.tolist(), strict=True):
            model.remove(item)
    assert not model and queue.bytes == 0


def test_nan_bounds_are_the_worst_and_are_kept():
    queue = Queue()
    queue.push(batch([1.0, float("nan"), float("inf"), -float("inf")], [0, 1, 2, 3]))
    assert queue.least == -float("inf")
    assert sorted(queue.pop(2).tag.tolist()) == [1, 3]
    assert queue.pop(9).tag.tolist() == [0, 2]
    assert len(queue) == 0
