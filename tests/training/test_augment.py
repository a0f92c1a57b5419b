import torch

from training.augment import augmented


def test_nothing_is_done_unless_asked():
    x = torch.rand(2, 1, 3, 3)
    assert torch.equal(augmented(x, False, 0), x)


def test_images_are_mirrored_or_not():
    x = torch.rand(64, 2, 3, 4)
    y = augmented(x, True, 0)
    mirrored = (y == x.flip(3)).flatten(1).all(1)
    assert bool((mirrored | (y == x).flatten(1).all(1)).all()) and 10 < int(mirrored.sum()) < 54


def test_images_are_moved_and_filled_with_zeros():
    x = torch.rand(200, 2, 4, 5) + 0.1
    y = augmented(x, False, 1)
    seen = set()
    for image, moved in zip(x, y, strict=True):
        padded = torch.nn.functional.pad(image, [1] * 4)
        where = [(r, c) for r in range(3) for c in range(3) if torch.equal(padded[:, r : r + 4, c : c + 5], moved)]
        assert len(where) == 1
        seen.update(where)
    assert len(seen) == 9
