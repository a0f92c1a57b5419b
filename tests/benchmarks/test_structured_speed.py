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
    assert sizes(networks["dense"]) == sizes(networks["masked"]) == [8, 16, 64, 10]
    assert sizes(networks["convs"]) == [4, 8, 64, 10] and sizes(networks["all"]) == [4, 8, 32, 10]
    x = data.x_test
    assert torch.allclose(networks["masked"](x), networks["all"](x), atol=1e-6)
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
    assert [(row["image"], row["method"]) for row in rows[::4]] == [(k, m) for k in "01" for m in METHODS]
    assert [row["network"] for row in rows[:4]] == list(NETWORKS)
    assert [row["network"] for row in rows[8:12]] == [*NETWORKS[1:], NETWORKS[0]], "the first one changes"
    shown = capsys.readouterr().out
    assert "random weights; 2 random images" in shown and "crown: network" in shown and "portfolio: network" in shown


def test_ratios_are_per_image():
    def row(image, network, seconds, verdict="verified"):
        return [Row(image, method, network, 0, verdict, "", seconds, seconds / 2) for method in METHODS]

    rows = [one for k, scale in enumerate((1.0, 3.0, 5.0)) for name, seconds in
            (("dense", 8), ("masked", 4), ("convs", 2), ("all", 1)) for one in row(k, name, seconds * scale)]
    line = report(rows).splitlines()[4]
    ratios = "8.00 (8.00 - 8.00) 4.00 (4.00 - 4.00)"
    assert " ".join(line.split()) == f"all 3 0 0 3 {ratios} 1.5 {ratios}"
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
