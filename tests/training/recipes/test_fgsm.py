from tests.training.recipes.laws import check_laws, value


def test_laws():
    check_laws("fgsm")


def test_alignment_is_added():
    plain = value("fgsm", gradalign=0.0)
    assert plain > value("standard") and value("fgsm", gradalign=1.0) > plain


def test_random_starts():
    assert value("fgsm", start="random", gradalign=0.0) != value("fgsm", gradalign=0.0)
