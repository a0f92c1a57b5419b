"""Figures are files of both kinds, equal for equal input, and impossible ones are refused."""

import pytest

from tests.training.evaluations import by_hand
from training import figures
from training.figures import Track, draw_accuracy, draw_layers, draw_schedule
from verify.errors import InvalidInput

matplotlib = pytest.importorskip("matplotlib")
STAGES = (1.0, 0.5, 0.25)


def check(paths, *words):
    png, svg = paths
    assert png.suffix == ".png" and png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    assert svg.suffix == ".svg" and "<svg" in text
    assert all(word in text for word in words)


def test_accuracy_and_layers(tmp_path):
    entries = by_hand().measured
    check(draw_accuracy(entries, tmp_path / "accuracy"), "verified accuracy (%)", ">a<", ">b<")
    check(draw_layers(entries, tmp_path / "layers"), "ReLU layer", ">b<")


def test_schedules_with_one_and_with_several_seeds(tmp_path):
    tracks = {"imp": [Track(STAGES, (0.9, 0.88, 0.8), (0.2, 0.4, 0.6)),
                      Track(STAGES, (0.9, 0.85, 0.8), (0.1, 0.5, 0.6))],
              "random": [Track(STAGES, (0.9, 0.8, 0.5), (0.2, 0.3, 0.3))]}
    check(draw_schedule(tracks, tmp_path / "schedule", "toy"), "remaining share", ">imp<", ">random<", ">toy<")


def test_equal_input_gives_equal_files(tmp_path):
    tracks = {"imp": [Track(STAGES, (0.9, 0.88, 0.8), (0.2, 0.4, 0.6))]}
    first, second = (draw_schedule(tracks, tmp_path / name)[1].read_bytes() for name in ("a", "b"))
    assert first == second


def test_the_spread_is_mean_least_and_largest():
    assert figures._spread([(0.1, 0.5), (0.3, 0.5)]) == ([20.0, 50.0], [10.0, 50.0], [30.0, 50.0])


def test_impossible_figures_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput, match="equally many"):
        Track(STAGES, (0.9,), (0.1, 0.2, 0.3))
    with pytest.raises(InvalidInput, match="at least one track"):
        draw_schedule({}, tmp_path / "none")
    short = Track((1.0,), (0.9,), (0.1,))
    with pytest.raises(InvalidInput, match="imp: the tracks have different numbers of stages"):
        draw_schedule({"imp": [Track(STAGES, (0.9,) * 3, (0.1,) * 3), short]}, tmp_path / "uneven")
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="matplotlib is not installed"):
        draw_schedule({"imp": [short]}, tmp_path / "missing")
