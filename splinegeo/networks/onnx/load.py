"""`load_onnx`: an ONNX file becomes a `SplineNetwork`, checked against the reference evaluation of the file."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splinegeo._errors import WrongType

if TYPE_CHECKING:
    from splinegeo.networks.graph import SplineNetwork


def load_onnx(
    path: str | os.PathLike[str],
    *,
    input_shape: Any = None,
    output: str | None = None,
    drop_output_activation: bool = False,
    name: str | None = None,
) -> SplineNetwork:
    """Read an ONNX file as the exact function that its stored weights define.

    The numbers in the file count as the exact numbers that they are, in whatever floating type they are stored. The
    graph is compared with the reference evaluation of the file (`onnx.reference`) on random points before it is
    returned. Nothing in the file is executed.

    Args:
        path: the file. It must hold everything; weights beside it are refused.
        input_shape: shape of one sample without the batch dimension. Only needed where the file leaves it open, or
            declares a first dimension larger than 1 that is no batch.
        output: name of the value to read; needed if there are several outputs. It may name any value on the way.
        drop_output_activation: leave off a smooth map at the end (Sigmoid, Tanh, Softmax, …); what was left off is the
            network's `dropped`.
        name: what error messages call the network; the file's name by default.

    Returns:
        The network from the latent of shape ``input_shape`` to the output without its batch dimension.

    Raises:
        ImportError: the onnx package is not installed.
        InvalidArgument: no such file; several outputs and none chosen; a batch of a fixed size; an unknown shape;
            NaN or infinite weights; sizes beyond reason.
        FileFormatError: not an ONNX file, or a damaged one.
        NotPiecewiseLinear: an operator is smooth, jumps, or multiplies two values that depend on the input.
        UnsupportedOperation: an operator or the form of the file is not one that splinegeo reads.
        ShapeMismatch: ``input_shape`` does not fit the file.
        CaptureMismatch: the graph and the reference disagree on a point.
        WrongType: an argument of a wrong type.

    Examples:
        >>> import splinegeo as sg
        >>> network = sg.load_onnx("decoder.onnx")  # doctest: +SKIP
        >>> part = sg.partition(network, sg.Box([-2, -2], [2, 2]))  # doctest: +SKIP
    """
    if importlib.util.find_spec("onnx") is None:
        raise ImportError("load_onnx needs the onnx package: pip install 'splinegeo[onnx]'")
    if not isinstance(drop_output_activation, bool):
        raise WrongType(f"drop_output_activation must be True or False; got {drop_output_activation!r}.")
    from splinegeo.networks.onnx.check import check
    from splinegeo.networks.onnx.files import read_model
    from splinegeo.networks.onnx.graphs import check_functions
    from splinegeo.networks.onnx.prepare import choose_output, drop_closing, find_latent, prune
    from splinegeo.networks.onnx.reader import Reader
    from splinegeo.networks.onnx.values import shown

    if name is None:
        name = shown(Path(os.fsdecode(path)).name) if isinstance(path, str | os.PathLike) else "the file"
    model = read_model(path, name)
    check_functions(model, name)
    chosen = choose_output(model, output, name)
    dropped = drop_closing(model, chosen) if drop_output_activation else ()
    prune(model, chosen)
    latent = find_latent(model, input_shape, name)
    reader = Reader(model, name)
    network = reader.read(latent.name, latent.shape, latent.sample, chosen, dropped)
    check(model, network, latent, name, native=reader.rounded)
    return network
