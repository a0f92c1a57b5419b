"""The networks are what they are said to be, every image is decided in turns, and the table adds up."""

from __future__ import annotations

import csv

import numpy as np
import torch
from torch import nn

from benchmarks.structured_speed import METHODS, NETWORKS, Row, as_csv, halved, made, main, random_data, report
from training.models import build


def sizes(network: nn.Module) -> list[int]:
    return [part.weight.shape[0] for part in network.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]


def test_half_of_the_channels_are_gone():
    data = random_data(8, 2, 0)
    networks = made(data, "cnn-tiny", 0.01, 0, 0)
    assert tuple(networks) == NETWORKS
    assert all(sizes(networks[name]) == [8, 16, 64, 10] for name in ("dense", "convs masked", "all masked"))
    assert sizes(networks["convs"]) == [4, 8, 64, 10] and sizes(networks["all"]) == [4, 8, 32, 10]
    x = data.x_test
    for scope in ("convs", "all"):
        assert torch.allclose(networks[f"{scope} masked"](x), networks[scope](x), atol=1e-6)
    assert not torch.allclose(networks["dense"](x), networks["all"](x), atol=1e-3)


def test_the_smallest_go():
    network = build("cnn-tiny", (3, 8, 8), 10)
    unit = halved(network, "convs").units()["conv1.weight"]
    norms = network.conv1.weight.detach().abs().flatten(1).sum(1)
    assert norms[unit].min() >= norms[~unit].max()
    assert set(halved(network, "all").units()) == {"conv1.weight", "conv2.weight", "fc1.weight"}


def test_one_paired_run(capsys, tmp_path):
    out = tmp_path / "rows.csv"
    assert main(["--arch", "mlp-1x8", "--size", "4", "--images", "2", "--eps", "0.001", "--out", str(out)]) == 0
    with out.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["image"], row["method"]) for row in rows[::5]] == [(k, m) for k in "01" for m in METHODS]
    assert [row["network"] for row in rows[:5]] == list(NETWORKS)
    assert [row["network"] for row in rows[10:15]] == [*NETWORKS[1:], NETWORKS[0]], "the first one changes"
    shown = capsys.readouterr().out
    assert "random weights; 2 random images" in shown and "portfolio, processor" in shown


def test_ratios_are_per_image():
    """Seconds 8, 6, 4, 2, 1 on the first image, 3 and 5 times that on the others; one verdict of `all` differs."""
    rows = [Row(k, method, name, 0, "unknown" if (k, name) == (1, "all") else "verified", "", scale * s, scale * s / 2)
            for k, scale in enumerate((1.0, 3.0, 5.0)) for name, s in zip(NETWORKS, (8, 6, 4, 2, 1), strict=True)
            for method in METHODS]
    lines = [" ".join(line.split()) for line in report(rows).splitlines()]
    assert lines[5] == "all 2 0 1"
    assert lines[12] == "all 3 8.00 (8.00 - 8.00) 8.00 (8.00 - 8.00) 2 2.00 (2.00 - 2.00)"
    assert lines[10] == "convs 12 2.00 (2.00 - 2.00) 2.00 (2.00 - 2.00) 3 1.50 (1.50 - 1.50)"
    assert lines[19].startswith("all 1.5 8.00") and lines[8].endswith("3 -")
    assert as_csv(rows[:1]).splitlines() == ["image,method,network,position,verdict,reason,seconds,processor",
                                             "0,crown,dense,0,verified,,8.0,4.0"]


def test_training_where_there_is_data(capsys, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "toy.npz", x_train=rng.integers(0, 256, (60, 4, 4, 3), dtype=np.uint8),
             y_train=np.arange(60) % 10)
    assert main(["--data", str(tmp_path / "toy.npz"), "--arch", "mlp-1x8", "--images", "1", "--eps", "0.001",
                 "--epochs", "2"]) == 0
    assert "mlp-1x8, trained 2 epochs on 4" in capsys.readouterr().out


def test_bad_input_is_named(capsys):
    assert main(["--arch", "nothing"]) == 2
    assert "unknown architecture 'nothing'" in capsys.readouterr().err
