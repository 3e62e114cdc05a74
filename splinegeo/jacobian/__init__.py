"""Smooth models: the Jacobian at a point takes the place of A_ω, and the same descriptors apply, to first order."""

from __future__ import annotations

from splinegeo.jacobian.adapters import Decoder, Denoiser, SmoothClamp, clamped_maps, load_unet, load_vae, psi_shift
from splinegeo.jacobian.describe import JacobianDescriptors, descriptors, jacobians
from splinegeo.jacobian.errors import (
    MissingWeights,
    NotDeterministic,
    NotDifferentiable,
    NumericalOverflow,
    OutOfMemory,
)
from splinegeo.jacobian.knots import KnotDistances, knot_distances
from splinegeo.jacobian.lanczos import PsiEstimate, lanczos_psi
from splinegeo.jacobian.leading import LeadingSingularValues, leading_singular_values
from splinegeo.jacobian.plan import Cost, estimate_cost
from splinegeo.jacobian.projection import orthonormal_rows
from splinegeo.jacobian.steps import DiffusionStep, Schedule, unrolled

__all__ = [
    "descriptors",
    "jacobians",
    "estimate_cost",
    "leading_singular_values",
    "lanczos_psi",
    "knot_distances",
    "orthonormal_rows",
    "Decoder",
    "Denoiser",
    "load_vae",
    "load_unet",
    "psi_shift",
    "SmoothClamp",
    "clamped_maps",
    "Schedule",
    "DiffusionStep",
    "unrolled",
    "JacobianDescriptors",
    "Cost",
    "LeadingSingularValues",
    "PsiEstimate",
    "KnotDistances",
    "NotDifferentiable",
    "NotDeterministic",
    "NumericalOverflow",
    "OutOfMemory",
    "MissingWeights",
]
