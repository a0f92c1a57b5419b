"""Convex bounds of nonlinear primitives."""

from verify.relaxations.base import Lines
from verify.relaxations.curve import candidate_slopes, curve_lines, intercept
from verify.relaxations.relaxer import CROWN, FASTLIN, TRAINING, Relaxer
from verify.relaxations.relu import LOWER_SLOPES, relu_lines
from verify.relaxations.s_shaped import s_shaped_lines

__all__ = [
    "CROWN", "FASTLIN", "LOWER_SLOPES", "TRAINING", "Lines", "Relaxer", "candidate_slopes", "curve_lines", "intercept",
    "relu_lines", "s_shaped_lines",
]
