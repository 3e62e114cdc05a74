"""Jacobians against closed forms and autograd; what is left alone; what is refused."""

from __future__ import annotations

import copy
import logging
import time
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo.jacobian import (
    NotDeterministic,
    NotDifferentiable,
    NumericalOverflow,
    OutOfMemory,
    descriptors,
    estimate_cost,
    jacobians,
    orthonormal_rows,
)
from splinegeo.jacobian.plan import Plan
from splinegeo.jacobian.precision import quiet_batching, resolve
from splinegeo.jacobian.products import Products

F64 = torch.float64


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def orthogonal(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(gaussian(rows, columns, seed=seed))[0]


def smooth_net(n_in: int = 6, n_out: int = 40, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(n_in, 32), nn.GELU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, n_out)).double()


def autograd(net, z: torch.Tensor) -> np.ndarray:
    rows = [torch.autograd.functional.jacobian(lambda x: net(x[None])[0], x) for x in z]
    return torch.stack(rows).reshape(len(z), -1, z[0].numel()).numpy()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.inner(z.reshape(len(z), -1, 8))


MODELS = {
    "mlp": (smooth_net, (6,)),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 5, 3, padding=1),
            nn.GroupNorm(1, 5),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(5, 3, 3),
            nn.Tanh(),
        ).double(),
        (2, 3, 4),
    ),
    "attention": (lambda: Attention().double().eval(), (3, 8)),
    "relu": (lambda: nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, 9)).double(), (5,)),
}


@pytest.fixture(params=MODELS)
def case(request):
    torch.manual_seed(0)
    make, shape = MODELS[request.param]
    return make(), gaussian(3, *shape)


# -- closed forms ------------------------------------------------------------------------------------------------------


def test_linear_map():
    a = gaussian(30, 7)
    found = descriptors(lambda z: z @ a.T, gaussian(4, 7), projection=None)
    s = np.linalg.svd(a.numpy(), compute_uv=False)
    np.testing.assert_allclose(found.singular_values, np.tile(s, (4, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.psi, np.log(s).sum(), rtol=1e-12)
    p = s / s.sum()
    np.testing.assert_allclose(found.nu, np.exp(-(p * np.log(p)).sum()), rtol=1e-12)
    assert (found.rank == 7).all()
    assert found.mode == "forward"


def test_orthogonal_map():
    q = orthogonal(50, 12)
    found = descriptors(lambda z: 3 * z @ q.T, gaussian(2, 12), projection=None)
    np.testing.assert_allclose(found.psi, 12 * np.log(3), rtol=1e-12)
    np.testing.assert_allclose(found.nu, 12, rtol=1e-12)


def test_composed_known_spectrum():
    # x -> U s(V' x) with an elementwise cubic s: the Jacobian is U diag(3 y² + 1) V' at y = V' x
    u, v = orthogonal(20, 9), orthogonal(9, 9, seed=1)
    z = gaussian(5, 9, seed=2)
    found = descriptors(lambda z: ((z @ v) ** 3 + z @ v) @ u.T, z, projection=None)
    expected = np.sort(3 * (z @ v).numpy() ** 2 + 1, 1)[:, ::-1]
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-12)


@pytest.mark.parametrize("n_in", [3, 30])
def test_rank_of_a_deficient_map(n_in):
    a = gaussian(40, 2) @ gaussian(2, n_in, seed=1)
    found = descriptors(lambda z: z @ a.T, gaussian(2, n_in), projection=None)
    assert (found.rank == 2).all()
    np.testing.assert_allclose(found.psi, np.log(np.linalg.svd(a.numpy(), compute_uv=False)[:2]).sum(), rtol=1e-10)


# -- autograd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("chunk_size", ["auto", 1, 4])
def test_jacobians_are_those_of_autograd(case, mode, chunk_size):
    net, z = case
    expected = autograd(net, z)
    found = jacobians(net, z, mode=mode, chunk_size=chunk_size)
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("chunk_size", ["auto", 3])
def test_projected_is_w_times_j(case, mode, chunk_size):
    net, z = case
    full = autograd(net, z)
    w = orthonormal_rows(4, full.shape[1], rng=3)
    found = jacobians(net, z, projection=4, rng=3, mode=mode, chunk_size=chunk_size)
    np.testing.assert_allclose(found, w @ full, rtol=0, atol=1e-12 * np.abs(full).max())
    np.testing.assert_allclose(found, jacobians(net, z, projection=w, mode=mode), rtol=0, atol=1e-13)
    described = descriptors(net, z, projection=4, rng=3, mode=mode)
    sigma = np.linalg.svd(w @ full, compute_uv=False)
    np.testing.assert_allclose(described.singular_values, sigma, rtol=1e-10, atol=1e-13)


def test_one_latent_at_a_time_is_the_same(case):
    net, z = case
    together = descriptors(net, z, projection=None)
    for k in range(len(z)):
        alone = descriptors(net, z[k : k + 1], projection=None)
        largest = together.singular_values[k, 0]
        np.testing.assert_allclose(alone.singular_values[0], together.singular_values[k], rtol=0, atol=1e-13 * largest)


def test_a_projection_with_all_rows_is_none():
    net, z = smooth_net(6, 40), gaussian(2, 6)
    np.testing.assert_array_equal(
        descriptors(net, z).singular_values, descriptors(net, z, projection=None).singular_values
    )


def test_the_mode_has_fewer_products():
    net = smooth_net(20, 40)
    assert descriptors(net, gaussian(1, 20), projection=None).mode == "forward"
    assert descriptors(net, gaussian(1, 20), projection=5).mode == "reverse"
    assert estimate_cost(net, gaussian(2, 20), projection=5).products == 5


def test_samples_that_meet_are_taken_alone(caplog):
    def centred(z):
        return torch.tanh(z - z.mean(0, keepdim=True) * 0.5)

    z = gaussian(3, 4)
    with caplog.at_level(logging.INFO, "splinegeo"):
        found = jacobians(centred, z)
    assert "mixes the samples" in caplog.text
    np.testing.assert_allclose(found, autograd(centred, z), rtol=0, atol=1e-14)


def test_operations_that_cannot_be_batched_are_looped(caplog):
    class Stubborn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * float(g.abs().sum() >= 0) * 3 * x**2  # a number read off a batched tensor

    z = gaussian(2, 5)
    with caplog.at_level(logging.INFO, "splinegeo"):
        found = jacobians(Stubborn.apply, z)
    assert "reverse mode" in caplog.text
    assert "one vector at a time" in caplog.text
    np.testing.assert_allclose(found, [np.diag(3 * x**2) for x in z.numpy()], rtol=1e-13)


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_warnings_are_passed_on_whatever_happens(caplog, fails):
    """torch's own to the log, others where they would have gone, also of what raises; its error is the one raised."""

    def work():
        with quiet_batching():
            warnings.warn("There is a performance drop: no batching rule for aten::x", UserWarning, stacklevel=1)
            warnings.warn("weights are odd", RuntimeWarning, stacklevel=1)
            if fails:
                raise ValueError("no derivative")

    raised = pytest.raises(ValueError, match="no derivative") if fails else nullcontext()
    with caplog.at_level(logging.INFO, "splinegeo"), pytest.warns(RuntimeWarning, match="odd") as seen, raised:
        work()
    assert len(seen) == 1
    assert "no batching rule" in caplog.text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError if fails else RuntimeWarning):
            work()


def test_attention_is_switched_with_a_log_line(caplog):
    net, z = Attention().eval(), torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    before = torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()
    with caplog.at_level(logging.INFO, "splinegeo"):
        assert descriptors(net, z, projection=None, mode="forward").mode == "forward"
    assert "mathematical form" in caplog.text
    assert (torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()) == before


def test_under_inference_mode_and_no_grad():
    net, z = smooth_net(), gaussian(2, 6)
    expected = jacobians(net, z)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            made = nn.Sequential(*net)
            np.testing.assert_array_equal(jacobians(made, z.clone()), expected)
            np.testing.assert_array_equal(jacobians(made, z.clone(), mode="reverse").shape, expected.shape)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_closure_over_parameters(mode):
    net, z = smooth_net(), gaussian(3, 6)
    found = jacobians(lambda v: net(2 * v), z, mode=mode)
    np.testing.assert_allclose(found, 2 * autograd(net, 2 * z), rtol=0, atol=1e-13)
    assert all(p.grad is None for p in net.parameters())
    descriptors(lambda v: net(2 * v), z, projection=None, mode=mode)


# -- projection --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 3), (5, 40), (60, 64), (120, 4096)])
def test_rows_are_those_of_a_sign_fixed_qr(rows, columns):
    w = orthonormal_rows(rows, columns, rng=5)
    q, r = np.linalg.qr(np.random.default_rng(5).standard_normal((columns, rows)))
    np.testing.assert_allclose(w, (q * np.sign(np.diag(r))).T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(w @ w.T, np.eye(rows), rtol=0, atol=1e-13)


def test_nu_of_a_gaussian_is_nearly_saturated():
    # what the projection of 120 rows makes of noise: sums over the Marchenko-Pastur law
    a = np.random.default_rng(0).standard_normal((120, 4096))
    assert sg.descriptors.nu(np.linalg.svd(a, compute_uv=False)) == pytest.approx(119.55, abs=0.01)


# -- nothing is changed ------------------------------------------------------------------------------------------------


def test_model_and_global_state_are_as_before():
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.GELU(), nn.Linear(6, 5)).eval()
    net[1].running_mean.normal_()
    state, kinds = copy.deepcopy(net.state_dict()), [p.dtype for p in net.parameters()]
    z = torch.randn(3, 4)
    z0, rng = z.clone(), torch.get_rng_state()
    grad, flags = torch.is_grad_enabled(), torch.backends.cuda.matmul.allow_tf32
    for precision in ("float64", "float32", "bfloat16"):
        for mode in ("forward", "reverse"):
            descriptors(net, z, projection=2, mode=mode, precision=precision)
    assert [p.dtype for p in net.parameters()] == kinds
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not net.training
    assert torch.equal(z, z0)
    assert z.grad is None
    assert torch.equal(rng, torch.get_rng_state())
    assert (torch.is_grad_enabled(), torch.backends.cuda.matmul.allow_tf32) == (grad, flags)


def test_buffers_that_a_pass_writes_to_are_as_before():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("passes", torch.zeros(()))

        def forward(self, z):
            self.passes.add_(1)
            self.last_input = z
            return torch.tanh(z)

    net = Counting().eval()
    descriptors(net, torch.randn(3, 4), mode="reverse")
    assert net.passes == 0
    assert not hasattr(net, "last_input")


def test_global_flags_come_back():
    torch.backends.mha.set_fastpath_enabled(True)
    flags = [(torch.backends.mkldnn.matmul, "fp32_precision"), (torch.backends.cuda.matmul, "fp32_precision")]
    before = [getattr(owner, name) for owner, name in flags]
    seen = []

    def model(z):
        seen.append((torch.backends.mha.get_fastpath_enabled(), *[getattr(owner, name) for owner, name in flags]))
        return 2 * z

    descriptors(model, torch.ones(2, 3))
    assert seen[0] == (False, "ieee", "ieee")
    assert torch.backends.mha.get_fastpath_enabled()
    assert [getattr(owner, name) for owner, name in flags] == before


def test_flags_come_back_after_an_error():
    torch.backends.mha.set_fastpath_enabled(True)
    before = torch.backends.mha.get_fastpath_enabled()

    def fails(z):
        raise RuntimeError("no")

    with pytest.raises(sg.UnsupportedOperation, match="fails on a latent of shape"):
        descriptors(fails, torch.zeros(1, 2))
    assert torch.backends.mha.get_fastpath_enabled() == before
    assert torch.is_grad_enabled()


# -- precision ---------------------------------------------------------------------------------------------------------


def test_precisions_are_nested():
    net, z = smooth_net(), gaussian(4, 6)
    exact = descriptors(net, z, projection=None)
    assert exact.precision == "float64"
    single = descriptors(net, z, projection=None, precision="float32")
    coarse = descriptors(net, z, projection=None, precision="bfloat16")
    assert single.singular_values.dtype == coarse.singular_values.dtype == np.float64
    errors = [np.abs(d.psi - exact.psi).max() for d in (single, coarse)]
    assert 1e-9 < errors[0] < 1e-4 < errors[1] < 0.5
    assert descriptors(net.float(), z, projection=None, precision="float64").precision == "float64"
    assert descriptors(net, z.float(), projection=None).precision == "float32"
    net.double()


def test_the_default_precision_is_that_of_the_device():
    kinds = [
        (torch.float32, "cpu", "float32"),
        (torch.float16, "cpu", "float32"),
        (torch.float64, "cpu", "float64"),
        (torch.float32, "cuda", "tf32"),
        (torch.bfloat16, "cuda", "tf32"),
        (torch.float64, "cuda", "float64"),
    ]
    for own, device, expected in kinds:
        assert resolve("call", None, own, torch.device(device)).name == expected


def test_a_half_precision_module_is_computed_in_float32():
    net, z = smooth_net().float(), gaussian(2, 6).float()
    expected = descriptors(net, z, projection=None)
    half = copy.deepcopy(net).half()
    found = descriptors(half, z, projection=None)
    assert found.precision == "float32"
    assert next(half.parameters()).dtype == torch.float16
    np.testing.assert_allclose(found.psi, expected.psi, atol=0.05)  # its weights are rounded, the rest is not


def test_small_singular_values_are_called_uncertain():
    scale = torch.tensor([1.0, 1e-3])
    found = descriptors(lambda z: z * scale, torch.ones(2, 2), projection=None)
    assert (found.uncertain == 0).all()
    net = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.diag(scale))
    found = descriptors(net, torch.ones(2, 2), projection=None, precision="bfloat16")
    assert (found.rank == 2).all()
    assert (found.uncertain == 1).all()


# -- bounded memory ----------------------------------------------------------------------------------------------------


def test_chunks_follow_the_memory_limit():
    net, z = smooth_net(16, 2000), gaussian(3, 16)
    costs = [estimate_cost(net, z, projection=None, memory_limit=2**k) for k in (16, 18, 20, 26)]
    sizes = [c.chunk_size for c in costs]
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert sizes[-1] == 3 * 16
    assert all(c.memory <= 2**k for c, k in zip(costs[1:], (18, 20, 26), strict=True))


def test_cost_counts_operations():
    net = nn.Linear(10, 50, bias=False)
    cost = estimate_cost(net, torch.zeros(4, 10), projection=8)
    assert cost.mode == "reverse"
    assert cost.products == 8
    assert cost.flops == 4 * (1 + 8) * 2 * 10 * 50
    assert cost.device == "cpu"
    assert "8 reverse products" in repr(cost)


def test_seconds_are_of_the_right_size():
    net, z = smooth_net(30, 60), gaussian(4000, 30)
    cost = estimate_cost(net, z, projection=None)
    begin = time.perf_counter()
    jacobians(net, z)
    took = time.perf_counter() - begin
    assert took / 20 < cost.seconds < took * 20  # other work on the machine may slow either


def test_out_of_memory_takes_smaller_chunks(monkeypatch, caplog):
    net, z = smooth_net(), gaussian(4, 6)
    expected = jacobians(net, z)
    real = Products.forward

    def small(self, tangents):
        if tangents.shape[0] * tangents.shape[1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, tangents)

    monkeypatch.setattr(Products, "forward", small)
    with caplog.at_level(logging.INFO, "splinegeo"):
        np.testing.assert_allclose(jacobians(net, z), expected, rtol=0, atol=1e-14)
    assert "out of memory" in caplog.text


def test_out_of_memory_says_what_to_set(monkeypatch):
    net, z = smooth_net(), gaussian(2, 6)

    def never(self, cotangents):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    plan = Plan(
        "descriptors", net, z, projection=3, rng=0, mode="reverse", precision=None, chunk_size="auto", memory_limit=None
    )
    monkeypatch.setattr(Products, "reverse", never)
    with pytest.raises(OutOfMemory, match="set mode='forward', precision='bfloat16'"):
        list(plan.blocks())


def test_a_jacobian_too_large_to_hold_is_refused(monkeypatch):
    monkeypatch.setattr("splinegeo.jacobian.plan.free_bytes", lambda device: 1000)
    with pytest.raises(OutOfMemory, match="set projection=120"):
        descriptors(smooth_net(), gaussian(1, 6), projection=None)


# -- results -----------------------------------------------------------------------------------------------------------


def test_result_is_a_value():
    found = descriptors(smooth_net(), gaussian(3, 6), projection=5)
    assert len(found) == 3
    assert repr(found) == (
        "<JacobianDescriptors of 3 latents in R^6, 40 outputs, 5 projected rows, reverse mode, float64>"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.singular_values[0] = 0


def test_budget_keeps_what_is_done():
    found = descriptors(smooth_net(), gaussian(5, 6), projection=None, chunk_size=1, seconds=1e-9)
    assert len(found) == 1
    assert not found.complete
    assert "stopped after" in found.stop_reason


def test_interrupt_keeps_what_is_done(monkeypatch):
    real, calls = Plan._block, []

    def block(self, start, stop):
        calls.append(start)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, start, stop)

    monkeypatch.setattr(Plan, "_block", block)
    found = descriptors(smooth_net(), gaussian(5, 6), chunk_size=1)
    assert len(found) == 2
    assert found.stop_reason == "interrupted"


def test_knots_on_request():
    net = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
        net[0].bias.zero_()
    found = descriptors(net, torch.tensor([[1.0, 0.5], [0.0, 0.0]]), projection=None, knots=True)
    np.testing.assert_allclose(found.knot_distances, [1.0, 0.0])
    assert descriptors(net, torch.ones(1, 2)).knot_distances is None
    with pytest.raises(sg.NotPiecewiseLinear):
        descriptors(smooth_net(), gaussian(1, 6), knots=True)


# -- bad input ---------------------------------------------------------------------------------------------------------


def linear(z):
    return 2 * z


@pytest.mark.parametrize(
    ("z", "error", "text"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), sg.WrongType, "int64"),
        (np.zeros((2, 3), np.int32), sg.WrongType, "z.float"),
        (torch.zeros(2, 3, dtype=torch.complex64), sg.WrongType, "complex64"),
        (torch.zeros(3), sg.ShapeMismatch, r"Pass z\[None\]"),
        (torch.zeros(0, 3), sg.InvalidArgument, "no latents"),
        (torch.tensor([[np.nan, 1.0]]), sg.InvalidArgument, "NaN"),
        ("latents", sg.WrongType, "array"),
    ],
)
def test_bad_latents(z, error, text):
    with pytest.raises(error, match=text):
        descriptors(linear, z)


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"projection": 0}, sg.InvalidArgument),
        ({"projection": np.ones((2, 7))}, sg.ShapeMismatch),
        ({"projection": np.full((2, 3), np.nan)}, sg.InvalidArgument),
        ({"rng": "seed"}, sg.WrongType),
        ({"mode": "sideways"}, sg.InvalidArgument),
        ({"precision": "float8"}, sg.InvalidArgument),
        ({"precision": "tf32"}, sg.InvalidArgument),
        ({"chunk_size": 0}, sg.InvalidArgument),
        ({"memory_limit": -1}, sg.InvalidArgument),
        ({"rtol": 1.0}, sg.InvalidArgument),
        ({"seconds": 0}, sg.InvalidArgument),
        ({"progress": "yes"}, sg.WrongType),
    ],
)
def test_bad_options(option, error):
    with pytest.raises(error):
        descriptors(linear, torch.ones(2, 3), **option)


class Detached(nn.Module):
    def forward(self, z):
        return torch.from_numpy(z.detach().numpy() * 2)


class Sampling(nn.Module):
    def forward(self, z):
        return z + torch.randn_like(z)


class Counting(nn.Module):
    count = 0

    def forward(self, z):
        Counting.count += 1
        return z * Counting.count


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        (5, sg.WrongType, "int"),
        (lambda z: z.argmax(1, keepdim=True), NotDifferentiable, "int64"),
        (lambda z: (z > 0).double(), NotDifferentiable, "comparisons"),
        (Detached(), NotDifferentiable, "NumPy"),
        (torch.no_grad()(lambda z: z * 2), NotDifferentiable, "no_grad"),
        (lambda z: torch.round(z * 4) / 4 + z, NotDifferentiable, "applies round"),
        (lambda z: z * torch.sign(z), NotDifferentiable, "applies sign"),
        (lambda z: torch.floor(z) + z, NotDifferentiable, "applies floor"),
        (Sampling(), NotDeterministic, "two answers"),
        (lambda z: z + torch.rand(1), NotDeterministic, "two answers"),
        (Counting(), NotDeterministic, "two answers"),
        (nn.Sequential(nn.Linear(3, 3), nn.Dropout()), sg.InvalidArgument, r"'1' \(Dropout\) draws random numbers"),
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), sg.InvalidArgument, "mixes the samples"),
        (nn.Linear(4, 2), sg.ShapeMismatch, "does not take latents of shape"),
        (lambda z: z.sum(), sg.ShapeMismatch, "first axis"),
        (lambda z: (z, z), sg.UnsupportedOperation, "tuple"),
        (lambda z: torch.log(z - z), NumericalOverflow, "float32"),
        (lambda z: torch.sqrt(z - z), NumericalOverflow, "Jacobian of latent 0"),
    ],
)
def test_bad_models(model, error, text):
    with pytest.raises(error, match=text):
        descriptors(model, torch.ones(2, 3))


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16"])
def test_noise_is_found_in_every_precision(precision):
    class Noisy(nn.Module):
        def forward(self, z):
            return z + 0.05 * torch.randn_like(z)

    with pytest.raises(NotDeterministic):
        descriptors(Noisy(), torch.ones(2, 300), precision=precision)


def test_straight_through_is_taken_as_written():
    found = jacobians(lambda z: z + (torch.round(z) - z).detach(), torch.ones(1, 3))
    np.testing.assert_array_equal(found[0], np.eye(3))


def test_overflow_of_half_precision():
    def half(z):
        return (z.half() * 300) ** 2 * 100

    with pytest.raises(NumericalOverflow, match="not finite"):
        descriptors(half, torch.ones(1, 3))
    with pytest.raises(NumericalOverflow, match="precision='float32'"):
        descriptors(lambda z: (z * 300) ** 2 * 100, torch.ones(1, 3).half())


def test_forward_mode_that_is_not_there():
    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    with pytest.raises(sg.InvalidArgument, match="mode='reverse'"):
        descriptors(Backward.apply, torch.ones(1, 3), mode="forward")
    assert descriptors(Backward.apply, torch.ones(1, 3)).mode == "reverse"


def test_errors_have_the_one_root():
    for error in (NotDifferentiable, NotDeterministic, NumericalOverflow, OutOfMemory):
        assert issubclass(error, sg.SplineGeoError)
