"""The Jacobian at one latent as an operator on blocks of vectors, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from splinegeo.jacobian.errors import OutOfMemory
from splinegeo.jacobian.model import is_out_of_memory, overflow
from splinegeo.jacobian.plan import Plan
from splinegeo.jacobian.products import ForwardModeUnsupported, Products


class JacobianOperator:
    """J (D, E) at one latent: ``apply`` gives J V, ``adjoint`` Jᵀ U, for float64 blocks of columns."""

    def __init__(self, plan: Plan, index: int) -> None:
        self._plan = plan
        self._products: Products = plan.products(index, index + 1)
        self._chunk = plan.chunk
        self.shape = plan.n_outputs, plan.n_latents
        self.device = plan.z.device
        self.rank_rtol = plan.model.precision.rank_rtol(self.shape)
        self.n_products = 0

    def apply(self, v: torch.Tensor) -> torch.Tensor:
        """J V (D, k) for V (E, k)."""
        return self._over(self._push, v)

    def adjoint(self, u: torch.Tensor) -> torch.Tensor:
        """Jᵀ U (E, k) for U (D, k)."""
        return self._over(self._products.reverse, u)

    def _push(self, tangents: torch.Tensor) -> torch.Tensor:
        try:
            return self._products.forward(tangents)
        except ForwardModeUnsupported:
            return self._push_by_double_reverse(tangents)

    def _push_by_double_reverse(self, tangents: torch.Tensor) -> torch.Tensor:
        """J V as the derivative of U -> Jᵀ U, which is linear in U: for models without forward mode."""
        z, y = self._products.trace()
        u = torch.zeros_like(y, requires_grad=True)
        (pulled,) = torch.autograd.grad(y, z, u, create_graph=True)
        rows = [torch.autograd.grad(pulled, u, t.reshape(z.shape), retain_graph=True)[0] for t in tangents]
        return torch.stack(rows)

    def _over(self, product: Callable[[torch.Tensor], torch.Tensor], block: torch.Tensor) -> torch.Tensor:
        like = self._plan.z
        rows = block.T.to(like.device, like.dtype)[:, None, :]
        done: list[torch.Tensor] = []
        with self._plan.model.traceless():
            first = 0
            while first < len(rows):
                part = rows[first : first + self._chunk]
                try:
                    done.append(product(part)[:, 0].double())
                except Exception as error:
                    if not is_out_of_memory(error) or isinstance(error, OutOfMemory):
                        raise
                    self._halve(error)
                    continue
                first += len(part)
        self.n_products += len(rows)
        out = torch.cat(done).T
        if not torch.isfinite(out).all():
            raise overflow(self._plan.call, "a Jacobian product", self._plan.model.precision)
        return out

    def _halve(self, error: BaseException) -> None:
        if self._chunk == 1:
            raise self._plan.too_large() from error
        self._chunk = (self._chunk + 1) // 2


def operators(call: str, model: Any, z: Any, options: dict[str, Any]) -> Iterator[JacobianOperator]:
    """The Jacobian at each latent in turn; the plan is made once."""
    plan = Plan(call, model, z, projection=None, rng=0, mode="reverse", held=False, **options)
    for index in range(len(plan.z)):
        yield JacobianOperator(plan, index)
