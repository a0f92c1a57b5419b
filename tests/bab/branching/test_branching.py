import bab.branching


def test_the_package_lists_its_heuristics():
    for name in bab.branching.__all__:
        assert hasattr(bab.branching, name)
