"""Compares a network with the reference evaluation of its file on random points."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from splinegeo._errors import CaptureMismatch, UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.graph import SplineNetwork
from splinegeo.networks.onnx.prepare import Latent
from splinegeo.networks.onnx.reference import STAND_INS, widen
from splinegeo.networks.onnx.tensors import REAL
from splinegeo.networks.onnx.values import first_line
from splinegeo.networks.running import values_and_errors

SCALES = (0.0, 1e-2, 1.0, 1e2)
POINTS_PER_SCALE = 3
SECONDS = 20.0  # no new point is started after this time; the first of each scale always is
SAFETY = 4.0  # constants that are computed from others have roundings that the estimate does not see
KINDS = {
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
}


def check(model: Any, network: SplineNetwork, latent: Latent, name: str, *, native: bool) -> None:
    """Raise unless the network's outputs are those of the reference, one point at a time.

    The model is evaluated in float64 and must agree to its last digits. ``native`` evaluates it in the file's own
    types, for files in which rounding decides something. The model is modified.

    Raises:
        CaptureMismatch: they disagree by more than rounding explains.
        UnsupportedOperation: the reference cannot evaluate the file, or samples of a batch are mixed.
    """
    rng = np.random.default_rng(0)
    z = np.stack([s * rng.standard_normal(network.n_inputs) for _ in range(POINTS_PER_SCALE) for s in SCALES])
    kind = torch.float64
    if native:
        kind = max(_kinds(model, latent), key=lambda k: torch.finfo(k).eps)
    else:
        widen(model)
    dtype = helper.tensor_dtype_to_np_dtype(latent.element) if native else np.dtype(np.float64)
    z = z.astype(dtype).astype(np.float64)
    expected, tolerance = values_and_errors(network, z, torch.finfo(kind))
    try:
        if model.functions:  # the reference passes their attributes on to some operators only
            model = inline_local_functions(model)
        evaluator = ReferenceEvaluator(model, new_ops=STAND_INS)
        deadline = time.monotonic() + SECONDS
        results = [
            _run(evaluator, latent, z[i : i + 1], latent.shape, dtype)
            for i in range(len(z))
            if i < len(SCALES) or time.monotonic() < deadline
        ]
    except Exception as error:
        raise UnsupportedOperation(
            f"{name} cannot be checked, because onnx.reference fails on it: {first_line(error)}. If its operator set "
            f"is an old one, convert it: onnx.version_converter.convert_version(model, 17)."
        ) from error
    got = np.stack([r.reshape(-1) for r in results])
    if got.shape[1] != network.n_outputs:
        raise CaptureMismatch(f"{name} gives {got.shape[1]} values a sample, its graph here {network.n_outputs}.")
    worst = _worst(got, expected[: len(got)], SAFETY * tolerance[: len(got)])
    if worst is not None:
        i, j = worst
        point = np.array2string(z[i], precision=17, threshold=8).replace("\n", "")
        raise CaptureMismatch(
            f"{name} and its graph disagree: output {j} at {point} is {float(got[i, j])!r} by onnx.reference and "
            f"{float(expected[i, j])!r} by the graph. This is a defect of splinegeo or of onnx.reference."
        )
    if latent.free_batch:
        _check_batch(evaluator, latent, z, dtype, expected, SAFETY * tolerance, name)


def _run(evaluator: Any, latent: Latent, z: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = evaluator.run(None, {latent.name: z.reshape(shape).astype(dtype)})[0]
    return np.asarray(result).astype(np.float64)


def _check_batch(
    evaluator: Any, latent: Latent, z: Array, dtype: Any, expected: Array, tolerance: Array, name: str
) -> None:
    chosen = [1, 2]
    try:
        got = _run(evaluator, latent, z[chosen], (2, *latent.sample), dtype)
    except Exception:  # noqa: BLE001 - a file may be fixed to one sample within, whatever its input declares
        return
    if got.shape[:1] != (2,):
        return  # so it is here
    got = got.reshape(2, -1)
    if got.shape != expected[chosen].shape or _worst(got, expected[chosen], tolerance[chosen]) is not None:
        raise UnsupportedOperation(
            f"{name} treats a sample differently when it comes in a batch with others; splinegeo reads networks that "
            f"map each sample by itself."
        )


def _kinds(model: Any, latent: Latent) -> list[torch.dtype]:
    elements = {latent.element} | {t.data_type for t in model.graph.initializer}
    for node in model.graph.node:
        elements |= {a.i for a in node.attribute if a.name == "to"}
        elements |= {a.t.data_type for a in node.attribute if a.HasField("t")}
    return [KINDS[e] for e in elements if e in REAL]


def _worst(got: Array, expected: Array, tolerance: Array) -> tuple[int, int] | None:
    """Where two results differ most beyond the tolerance; where that is not finite there is nothing to compare."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(got - expected)
        excess = np.where(np.isnan(gap), np.inf, gap - tolerance)
    excess = np.where(np.isfinite(tolerance), excess, -1.0)
    i, j = np.unravel_index(np.argmax(excess), excess.shape)
    return (int(i), int(j)) if excess[i, j] > 0 else None
