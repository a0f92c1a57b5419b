"""Losses and regularisers, one file each: pure functions of model, images, labels and radius."""
