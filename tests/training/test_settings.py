from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from training.settings import RECIPES, Settings, help_text, recipe_module, settings_for
from verify.errors import InvalidInput


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_valid_defaults(recipe):
    settings = settings_for(recipe, eps=0.2)
    assert settings.recipe == recipe and settings.eps == 0.2
    assert settings == settings_for(recipe.replace("-", "_"), eps=0.2)
    assert settings == Settings(**{**settings.as_dict()})


@pytest.mark.parametrize(("name", "value"), [
    ("eps", -0.1), ("eps", float("nan")), ("eps", True), ("epochs", 0), ("epochs", 1.5), ("batch", 0), ("lr", 0.0),
    ("lr", float("inf")), ("momentum", 1.5), ("optimizer", "lbfgs"), ("lr_drops", (0.5, 1.0)), ("ramp", (0.6, 0.5)),
    ("ramp", (0.1,)), ("kappa", (1.0, 2.0)), ("ramp_shape", "cubic"), ("device", "gpu"), ("seed", -1), ("start", "x"),
    ("keep", "worst"), ("rs", -1.0), ("clip_grad", -1.0), ("shift", -1), ("lr_schedule", "step"), ("step_size", 0.0),
])
def test_wrong_values_are_named(name, value):
    with pytest.raises(InvalidInput, match=f"^--{name.replace('_', '-')} takes .*, got "):
        settings_for("standard", **{name: value})


def test_wrong_names_are_named():
    with pytest.raises(InvalidInput, match="there is no recipe 'magic'; there are standard, fgsm"):
        settings_for("magic")
    with pytest.raises(InvalidInput, match="no recipe"):
        recipe_module("os.path")
    with pytest.raises(InvalidInput, match="there is no setting 'epsilon'; there are amp, batch"):
        settings_for("ibp", epsilon=0.1)


def test_every_setting_has_a_help_text():
    for entry in dataclasses.fields(Settings):
        assert help_text(entry.name).endswith(")") and len(help_text(entry.name)) > 20


def test_settings_load_nothing_heavy():
    script = "import sys, training.settings; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
