"""What both studies share: the setup, trained networks with their controls, and one row per exported network.

Per seed everything differs but the images: initial weights, order of training images, attacks. Networks are selected by
nobody: every ratio and every score is reported, on test images that no training and no decision has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.companions.tables import Row, bits
from training.attacks import Attack
from training.data import Data, load
from training.evaluate import Options, evaluate
from training.export import export_onnx
from training.loop import train
from training.models import build
from training.settings import Settings, settings_for

ATTACKS = (Attack("pgd", 40, 2),)


@dataclass(frozen=True)
class Setup:
    """One study. `eps` as in the papers for these images; `images` test images for attacks, the first `bounded` of them
    for CROWN, and the first `complete` for the complete verifier, `timeout` seconds each, where a row asks for it.

    `epochs`, `lr`: of every fgsm training (random start, no gradient alignment); `certified_epochs`: of the IBP
    control; `rs`: weight of the stability control; `work`: folder of networks and journals."""

    data: str
    work: Path
    seed: int = 0
    arch: str = "cnn-tiny"
    eps: float = 0.1
    train: int = 8800
    images: int = 200
    bounded: int = 100
    complete: int = 50
    timeout: float = 2.0
    epochs: int = 5
    lr: float = 2e-3
    certified_epochs: int = 20
    rs: float = 0.1

    def load(self) -> Data:
        """The same images for every seed."""
        return load(self.data, validation=1 / 11, train=self.train, test=self.images, seed=0)

    def build(self, data: Data) -> nn.Module:
        return build(self.arch, data.input_shape, data.classes, data.mean, data.std, seed=self.seed)

    def fgsm(self, **changes: Any) -> Settings:
        """Settings of the base recipe."""
        return settings_for("fgsm", **{
            "eps": self.eps, "epochs": self.epochs, "optimizer": "adam", "lr": self.lr, "lr_schedule": "cosine",
            "lr_drops": (), "start": "random", "gradalign": 0.0, "weight_decay": 0.0, "device": "cpu",
            "seed": self.seed, **changes})

    def folder(self, name: str) -> Path:
        return self.work / f"seed{self.seed}" / name


def dense(setup: Setup, data: Data, name: str = "dense", **changes: Any) -> nn.Module:
    """The trained dense network; an interrupted training goes on, a finished one is read."""
    model = setup.build(data)
    train(model, data, setup.fgsm(**changes), run=setup.folder(name))
    return model


def controls(setup: Setup, data: Data, longer: int) -> dict[str, nn.Module]:
    """The controls of both papers' claims, all dense: `longer` epochs instead of pruning or fine-tuning, the RS
    regulariser of Xiao et al. 2019, and plain IBP training."""
    ibp = setup.build(data)
    train(ibp, data, settings_for("ibp", eps=setup.eps, epochs=setup.certified_epochs, lr=setup.lr, device="cpu",
                                  seed=setup.seed), run=setup.folder("ibp"))
    return {
        "more epochs": dense(setup, data, "more-epochs", epochs=longer),
        "RS regulariser": dense(setup, data, "rs", rs=setup.rs),
        "IBP training": ibp,
    }


def measured(setup: Setup, data: Data, model: nn.Module, name: str, complete: bool = False, **columns: Any) -> Row:
    """Exports a network and measures the file."""
    path = setup.folder("onnx") / f"{name.replace(' ', '-')}.onnx"
    exported = export_onnx(model, data.input_shape, path, data.x_val[:16])
    return {**row(setup, data, path, name, complete, **columns), "difference": exported.max_difference}


def row(setup: Setup, data: Data, path: Path, name: str, complete: bool = False, **columns: Any) -> Row:
    """The row of one ONNX file: shares of the test images, per-image flags, and what the complete verifier did."""
    options = Options(setup.eps, attacks=ATTACKS, timeout=None, dtype="float32", bounded=setup.bounded,
                      seed=setup.seed)
    journal = setup.folder("journal.jsonl")
    found = evaluate(path, data.x_test, data.y_test, options, journal=journal)
    made: dict[str, Any] = {
        "method": name, **columns, "seed": setup.seed, "images": len(found.images),
        "clean": found.share("clean"), "pgd": found.share("robust"), "crown": found.count("crown") / setup.bounded,
        "unstable": found.unstable / found.relus, "area": found.area, "parameters": found.parameters,
        "relus": found.relus, "bytes": path.stat().st_size, "sha256": found.sha256,
        "flags": {"clean": bits(found.flags("clean")), "pgd": bits(found.flags("robust")),
                  "crown": bits(found.flags("crown")[: setup.bounded])},
    }
    if complete:
        few = setup.complete
        full = evaluate(path, data.x_test[:few], data.y_test[:few], replace(options, timeout=setup.timeout),
                        journal=journal)
        made |= {"verified": full.share("verified"), "undecided": full.share("undecided"), "seconds": full.par2,
                 "domains": sum(image.domains for image in full.asked) / max(1, len(full.asked))}
        made["flags"] |= {"verified": bits(full.flags("verified"))}
    return made
