from tests.training.recipes.laws import check_laws, value


def test_laws():
    check_laws("pgd-at")


def test_more_steps_find_worse_points():
    assert value("standard") < value("pgd-at", steps=1, start="zero") <= value("pgd-at", steps=20, start="zero")
