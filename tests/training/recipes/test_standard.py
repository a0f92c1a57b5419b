from tests.training.recipes.laws import check_laws, value


def test_laws():
    check_laws("standard")


def test_it_does_not_look_at_the_radius():
    assert value("standard", eps=0.1) == value("standard", eps=0.0)
