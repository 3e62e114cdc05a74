"""How the Jacobians of some latents will be computed, and what that takes: mode, chunks, memory, operations, time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from splinegeo._errors import InvalidArgument, ShapeMismatch, WrongType
from splinegeo._types import Array
from splinegeo.jacobian.errors import OutOfMemory
from splinegeo.jacobian.model import PureModel, is_out_of_memory, overflow
from splinegeo.jacobian.precision import arithmetic
from splinegeo.jacobian.probe import measure
from splinegeo.jacobian.products import ForwardModeUnsupported, Products
from splinegeo.jacobian.projection import checked_projection

_log = logging.getLogger("splinegeo")

CPU_LIMIT = 192 * 2**20  # bytes at work by default: chunks of it are as fast as larger ones on a CPU
GPU_SHARE = 0.6  # of what is free
ROOM = 1.5  # workspaces inside operations, which the probe does not see
SMALL = 16 * 2**20  # bytes of two products so few that a second probe is worth it
TIMED_CHUNKS = 10  # from so many chunks on, one more is worth knowing the time


@dataclass(frozen=True)
class Cost:
    """What the Jacobians of some latents take; see `estimate_cost`."""

    mode: Literal["forward", "reverse"]
    latents: int  # samples
    products: int  # Jacobian products for each sample
    chunk_size: int  # products at once
    flops: float  # in all, two a multiply-add, convolutions and matrix products only
    memory: int  # bytes at work at once, beside the model
    seconds: float | None  # from the time of one chunk; None where so few are needed that none was timed
    precision: str
    device: str

    def __repr__(self) -> str:
        took = "" if self.seconds is None else f", about {self.seconds:.2g} s"
        return (
            f"<Cost {self.latents:,} latents x {self.products:,} {self.mode} products, {self.flops / 1e12:.3g} TFLOP, "
            f"{self.memory / 2**20:,.0f} MiB at work{took}; {self.precision} on {self.device}>"
        )


class Plan:
    """A model, checked latents, a projection, and the way to their Jacobians."""

    def __init__(
        self,
        call: str,
        model: Callable[..., Any],
        z: Any,
        *,
        projection: Any,
        rng: Any,
        mode: str,
        precision: str | None,
        chunk_size: int | str,
        memory_limit: int | None,
        held: bool = True,
    ) -> None:
        latents = as_latents(call, z)
        _check_options(call, mode, chunk_size, memory_limit)
        self.call = call
        self.model = PureModel(call, model, latents, precision)
        self.z = self.model.latents(latents)
        if not torch.isfinite(self.z).all():
            raise overflow(call, "a latent", self.model.precision)
        self.n_outputs, self.batchable = self.model.check(self.z)
        self.n_latents = self.z[0].numel()
        w = checked_projection(call, projection, self.n_outputs, rng)
        self.projection = None if w is None else torch.from_numpy(w).to(self.z.device, self.z.dtype)
        n_rows = self.n_outputs if w is None else len(w)
        self.shape = n_rows, self.n_latents
        if held:  # whole Jacobians, not products with a few vectors
            self._refuse_too_large()
        self.mode: Literal["forward", "reverse"] = (
            "forward" if mode == "forward" or (mode == "auto" and self.n_latents <= n_rows) else "reverse"
        )
        self.attention = False
        self.base_bytes = self.row_bytes = 0
        try:
            with self.model.traceless():
                self._probe(forced=mode == "forward")
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise self.too_large() from error
        limit = memory_limit or default_limit(self.z.device)
        n = self.n_products
        fitting = max(1, int((limit / ROOM - self.base_bytes) // max(1, self.row_bytes)))
        whole = self.base_bytes + n * self.row_bytes
        self.chunk = min(n, fitting if chunk_size == "auto" else int(chunk_size))
        self.batch = 1
        if self.batchable and self.chunk == n:
            rows = fitting if chunk_size == "auto" else int(chunk_size)
            self.batch = int(max(1, min(len(self.z), (limit / ROOM) // max(1, whole), rows // n)))

    @property
    def n_products(self) -> int:
        """Products for each latent."""
        return self.shape[1] if self.mode == "forward" else self.shape[0]

    def cost(self, timed: bool = False) -> Cost:
        """What it takes; with the seconds where there are many chunks, or where they are asked for."""
        n, count = self.n_products, len(self.z)
        chunks = math.ceil(count / self.batch) * math.ceil(n / self.chunk)
        memory = self.batch * (self.base_bytes + self.chunk * self.row_bytes)
        return Cost(
            self.mode,
            count,
            n,
            self.batch * self.chunk,
            float(count) * (self.base_flops + n * self.row_flops),
            int(memory),
            self.seconds() if timed or chunks >= TIMED_CHUNKS else None,
            self.model.precision.name,
            str(self.z.device),
        )

    def products(self, start: int, stop: int) -> Products:
        """Products at the latents from ``start`` to ``stop``."""
        return Products(self.model, self.z[start:stop], self.n_outputs, attention=self.attention)

    def blocks(self) -> Iterator[tuple[int, int, torch.Tensor]]:
        """(start, stop, J) with J (stop - start, P or D, E) on the model's device, over all latents in order.

        Raises:
            OutOfMemory: even one latent and one product at a time do not fit.
            NumericalOverflow: a derivative is not finite.
        """
        start = 0
        while start < len(self.z):
            stop = min(len(self.z), start + self.batch)
            try:
                with self.model.traceless():
                    jacobians = self._block(start, stop)
            except Exception as error:
                if not is_out_of_memory(error) or isinstance(error, OutOfMemory):
                    raise
                self._take_less(error)
                continue
            if not torch.isfinite(jacobians).all():
                bad = start + int((~torch.isfinite(jacobians)).flatten(1).any(1).nonzero()[0, 0])
                raise overflow(self.call, f"the Jacobian of latent {bad}", self.model.precision)
            yield start, stop, jacobians
            start = stop

    def _block(self, start: int, stop: int) -> torch.Tensor:
        products = self.products(start, stop)
        out = torch.empty((stop - start, *self.shape), dtype=self.z.dtype, device=self.z.device)
        for first in range(0, self.n_products, self.chunk):
            rows = range(first, min(self.n_products, first + self.chunk))
            part = self._chunk_of(products, rows, stop - start)
            if self.mode == "reverse":
                out[:, rows.start : rows.stop] = part.transpose(0, 1)
            else:
                out[:, :, rows.start : rows.stop] = part.permute(1, 2, 0)
        return out

    def _chunk_of(self, products: Products, rows: range, n: int) -> torch.Tensor:
        """Rows (K, n, E) of the Jacobians in reverse mode, columns (K, n, D or P) in forward mode."""
        if self.mode == "reverse":
            return products.reverse(self._cotangents(rows, n))
        columns = products.forward(unit_vectors(rows, self.n_latents, n, self.z))
        return columns if self.projection is None else columns @ self.projection.T

    def _cotangents(self, rows: range, n: int) -> torch.Tensor:
        if self.projection is None:
            return unit_vectors(rows, self.n_outputs, n, self.z)
        return self.projection[rows.start : rows.stop, None].expand(-1, n, -1)

    def _take_less(self, error: BaseException) -> None:
        before = self.batch, self.chunk
        if self.batch > 1:
            self.batch = (self.batch + 1) // 2
        elif self.chunk > 1:
            self.chunk = (self.chunk + 1) // 2
        else:
            raise self.too_large() from error
        if self.z.device.type == "cuda":
            torch.cuda.empty_cache()
        _log.info(
            "%s: out of memory with %d latents x %d products at once; trying %d x %d",
            self.call, *before, self.batch, self.chunk,
        )  # fmt: skip

    def too_large(self) -> OutOfMemory:
        """The error where nothing smaller can be tried."""
        at_least = (self.base_bytes + self.row_bytes) / 2**20
        return OutOfMemory(
            f"{self.call}: out of memory on {self.z.device} with one latent and one {self.mode} product at a time"
            f"{f', about {at_least:,.0f} MiB' if at_least else ''}; set "
            f"{'mode=' + repr('forward') + ', ' if self.mode == 'reverse' else ''}precision='bfloat16', use smaller "
            f"latents or a device with more memory"
        )

    def _probe(self, forced: bool) -> None:
        """One latent and one product, metered: operations and bytes of the pass and of each product."""
        products = self.products(0, 1)
        with arithmetic(self.model.precision, self.z.device):
            _, alone = measure(lambda: self.model(self.z[:1]).detach())
        self.attention = products.attention = alone.attention
        if self.attention:
            _log.info("%s: attention runs in its mathematical form, which has all derivatives", self.call)
        if self.mode == "forward":
            one = unit_vectors(range(1), self.n_latents, 1, self.z)
            try:
                _, usage = measure(lambda: products.forward(one))
            except ForwardModeUnsupported as error:
                if forced:
                    raise InvalidArgument(
                        f"{self.call}(mode='forward'): the model has no forward mode; use mode='reverse' or 'auto'. "
                        f"torch says: {error}"
                    ) from error
                _log.info("%s: reverse mode, since the model has no forward mode: %s", self.call, error)
                self.mode = "reverse"
            else:
                self.base_bytes, self.base_flops = 0, alone.flops
                self.row_bytes, self.row_flops = usage.peak_bytes, max(0, usage.flops - alone.flops)
                if 2 * usage.peak_bytes < SMALL and self.n_products > 1:
                    # two at once tell what belongs to the pass and what to each tangent
                    two = unit_vectors(range(2), self.n_latents, 1, self.z)
                    _, both = measure(lambda: products.forward(two))
                    self.row_bytes = max(both.peak_bytes - usage.peak_bytes, both.peak_bytes // 8)
                    self.base_bytes = max(0, usage.peak_bytes - self.row_bytes)
                return
        _, graph = measure(products.trace)
        one = self._cotangents(range(1), 1)
        _, usage = measure(lambda: products.reverse(one))
        self.base_bytes, self.base_flops = graph.peak_bytes, graph.flops
        self.row_bytes, self.row_flops = usage.peak_bytes, usage.flops

    def seconds(self) -> float | None:
        """How long all of it takes, from the time of one pass and one chunk; None if that does not fit in memory."""
        n = min(self.batch, len(self.z))
        products = self.products(0, n)
        try:
            with self.model.traceless():
                trace = _seconds(products.trace, self.z.device) if self.mode == "reverse" else 0.0
                chunk = _seconds(lambda: self._chunk_of(products, range(self.chunk), n), self.z.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None
        return math.ceil(len(self.z) / self.batch) * (trace + math.ceil(self.n_products / self.chunk) * chunk)

    def _refuse_too_large(self) -> None:
        size = self.shape[0] * self.shape[1] * self.z.element_size()
        available = free_bytes(self.z.device)
        if size > available / 2:
            raise OutOfMemory(
                f"{self.call}: the Jacobian of one latent has {self.shape[0]:,} x {self.shape[1]:,} entries, "
                f"{size / 2**30:,.1f} GiB, and {available / 2**30:,.1f} GiB are free; set projection=120, or use "
                f"leading_singular_values and lanczos_psi, which never hold it"
            )


def estimate_cost(
    model: Callable[..., Any],
    z: Any,
    *,
    projection: int | Array | None = 120,
    rng: Any = 0,
    mode: Literal["auto", "forward", "reverse"] = "auto",
    precision: Literal["float64", "float32", "tf32", "bfloat16"] | None = None,
    chunk_size: int | Literal["auto"] = "auto",
    memory_limit: int | None = None,
) -> Cost:
    """What `descriptors` with the same arguments will take, from one product on one latent and the time of one chunk.

    Operations are counted in convolutions and matrix products. Singular values are not part of it. Raises what
    `descriptors` raises.
    """
    plan = Plan(
        "estimate_cost", model, z, projection=projection, rng=rng, mode=mode, precision=precision,
        chunk_size=chunk_size, memory_limit=memory_limit,
    )  # fmt: skip
    return plan.cost(timed=True)


def as_latents(call: str, z: Any) -> torch.Tensor:
    """``z`` as a real, finite tensor ``(N, *shape)`` with N >= 1.

    Raises:
        WrongType: integers, complex numbers or no array at all.
        ShapeMismatch: fewer than two dimensions.
        InvalidArgument: no latents, NaN or infinity.
    """
    if not isinstance(z, torch.Tensor):
        try:
            z = torch.from_numpy(np.array(z))
        except (TypeError, ValueError) as error:
            raise WrongType(f"{call}: z must be an array or a tensor (N, *shape); {error}") from error
    if not z.is_floating_point():
        raise WrongType(
            f"{call}: z holds {str(z.dtype).removeprefix('torch.')}; a derivative is taken at real latents. "
            f"Pass floats, z.float() if they are numbers; tokens and classes have no derivative."
        )
    if z.ndim < 2:
        raise ShapeMismatch(f"{call}: z must have shape (N, *shape), N latents; it has {tuple(z.shape)}. Pass z[None].")
    if z.numel() == 0:
        raise InvalidArgument(f"{call}: z holds no latents; its shape is {tuple(z.shape)}")
    if not torch.isfinite(z).all():
        raise InvalidArgument(f"{call}: z must be finite; it holds NaN or infinity")
    return z


def unit_vectors(rows: range, size: int, n: int, like: torch.Tensor) -> torch.Tensor:
    """Unit vectors (len(rows), n, size), the same for each of n samples."""
    out = torch.zeros((len(rows), n, size), dtype=like.dtype, device=like.device)
    out[torch.arange(len(rows)), :, torch.tensor(rows)] = 1
    return out


def default_limit(device: torch.device) -> int:
    """Bytes that may be at work at once."""
    return int(GPU_SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else CPU_LIMIT


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not every system tells; then only the impossible is refused
        return 2**40


def _seconds(function: Callable[[], Any], device: torch.device) -> float:
    synchronise(device)
    begin = time.perf_counter()
    function()
    synchronise(device)
    return time.perf_counter() - begin


def synchronise(device: torch.device) -> None:
    """Wait for a GPU to finish, so that a clock says something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _check_options(call: str, mode: Any, chunk_size: Any, memory_limit: Any) -> None:
    if mode not in ("auto", "forward", "reverse"):
        raise InvalidArgument(f"{call}(mode={mode!r}): 'auto', 'forward' or 'reverse' is expected")
    for name, value in (("chunk_size", chunk_size), ("memory_limit", memory_limit)):
        default = "auto" if name == "chunk_size" else None
        if value == default:
            continue
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise InvalidArgument(f"{call}({name}={value!r}): a whole number >= 1 or {default!r} is expected")
