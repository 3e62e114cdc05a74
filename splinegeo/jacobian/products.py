"""Products of Jacobians with vectors, many at a time: the one place where derivatives are taken."""

from __future__ import annotations

import logging

import torch

from splinegeo.jacobian.model import PureModel, is_out_of_memory
from splinegeo.jacobian.precision import arithmetic, attention_with_derivatives, quiet_batching

_log = logging.getLogger("splinegeo")


class ForwardModeUnsupported(Exception):
    """An operation of the model has no forward-mode derivative; never leaves this package."""


class Products:
    """J V and Jᵀ U at latents z ``(B, *shape)``, J (B, D, E) the Jacobian of each, for all vectors given at once.

    Products with J push tangents forward beside one pass of the model; products with Jᵀ pull cotangents back through
    the graph of one pass, which is kept for the next. Samples of a batch do not meet, so one pass serves B of them.
    """

    def __init__(self, model: PureModel, z: torch.Tensor, n_outputs: int, *, attention: bool = False) -> None:
        self.model = model
        self.z = z
        self.n_latents = z[0].numel()
        self.n_outputs = n_outputs
        self.attention = attention
        self.batched = True  # False once torch could not batch an operation
        self._graph: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, tangents: torch.Tensor) -> torch.Tensor:
        """J V (K, B, D) of tangents (K, B, E), in forward mode.

        Raises:
            ForwardModeUnsupported: an operation has no such derivative.
        """
        tangents = tangents.reshape(len(tangents), *self.z.shape)

        def push(tangent: torch.Tensor) -> torch.Tensor:
            return torch.func.jvp(self.model, (self.z,), (tangent,))[1]

        # no_grad: tangents need no graph, and a function that is not a module brings its parameters into one
        with (
            arithmetic(self.model.precision, self.z.device),
            attention_with_derivatives(self.attention),
            torch.no_grad(),
        ):
            try:
                return self._over(push, tangents)
            except RuntimeError as error:  # NotImplementedError is one
                if is_out_of_memory(error):
                    raise
                # the model itself has run before, so what fails is the derivative of one of its operations
                raise ForwardModeUnsupported((str(error).splitlines() or [""])[0]) from error

    def reverse(self, cotangents: torch.Tensor) -> torch.Tensor:
        """Jᵀ U (K, B, E) of cotangents (K, B, D), in reverse mode."""
        with arithmetic(self.model.precision, self.z.device), attention_with_derivatives(self.attention):
            z, y = self.trace()
            if len(cotangents) > 1 and self.batched:
                try:
                    with quiet_batching():
                        (out,) = torch.autograd.grad(y, z, cotangents, retain_graph=True, is_grads_batched=True)
                    return out.reshape(len(out), len(self.z), -1)
                except RuntimeError as error:
                    self._give_up_batching(error)
            rows = [torch.autograd.grad(y, z, u, retain_graph=True)[0] for u in cotangents]
            return torch.stack(rows).reshape(len(rows), len(self.z), -1)

    def trace(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents and outputs with the graph between them; made once."""
        if self._graph is None:
            with arithmetic(self.model.precision, self.z.device), attention_with_derivatives(self.attention):
                z = self.z.clone().requires_grad_()
                self._graph = z, self.model(z)
        return self._graph

    def release(self) -> None:
        """Let go of the graph."""
        self._graph = None

    def _over(self, push, tangents: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
        if len(tangents) > 1 and self.batched:
            try:
                with quiet_batching():
                    return torch.func.vmap(push)(tangents)
            except RuntimeError as error:
                self._give_up_batching(error)
        with quiet_batching():
            return torch.stack([push(t) for t in tangents])

    def _give_up_batching(self, error: RuntimeError) -> None:
        if is_out_of_memory(error):
            raise error
        self.batched = False
        text = (str(error).splitlines() or [""])[0]
        _log.info("%s: one vector at a time, since torch cannot batch: %s", self.model.call, text)
