"""Published networks: their partitions against autograd, forward passes and dense sampling with PyTorch.

Nothing here reads the library's graph: modules run in float64 (ONNX files through a reader of a few lines), maps are
forward-mode derivatives, and patterns are read off what the kernels of the activations are given, in the order in
which they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.testing import assert_tiles, assert_watertight

# Forward mode in torch compiles a decomposition on its first use.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

SAMPLE = 40  # regions whose maps are compared
GRID = 32  # points of the dense sample along each side of the domain's bounding box
LOCATED = 6  # of them are located exactly, which takes some hundredths of a second each in large networks
ENTRIES = 4_000_000  # units times samples of one forward pass
ROUNDING = 1e-12  # a pre-activation below this, relative to the largest of its layer, may have either sign


class Scene(NamedTuple):
    """A network as the library takes it and as torch runs it, and where it is looked at."""

    network: Any  # a module, or a network from an ONNX file
    module: nn.Module  # piecewise affine to its very end
    shape: tuple[int, ...]  # of a sample
    domain: sg.Box | sg.Polygon
    plane: sg.Slice | None = None


# -- the networks ------------------------------------------------------------------------------------------------------


def square(half: float) -> sg.Box:
    return sg.Box([-half] * 2, [half] * 2)


def triangle(points: Any, size: float) -> tuple[sg.Polygon, sg.Slice]:
    """Between three points, shrunk towards the first."""
    z = np.asarray(points, float).reshape(3, -1)
    plane = sg.Slice(z[0], np.stack([z[1] - z[0], z[2] - z[0]], 1))
    return sg.Polygon([[0, 0], [size, 0], [0, size]]), plane


def vae2d(zoo: Any) -> Scene:
    module = zoo.vae2d_mnist()
    return Scene(module, module, (2,), square(0.004))


def disvae(zoo: Any, name: str, half: float) -> Scene:
    module = zoo.disvae(name)
    plane = sg.Slice.through(*np.random.default_rng(0).normal(size=(3, 10)))
    return Scene(module, module, (10,), square(half), plane)


def ganlab(zoo: Any, name: str) -> Scene:
    generator = zoo.ganlab(name)[0]
    return Scene(generator, generator[:-1], (2,), sg.Box([0, 0], [1, 1]))


def pendulum(zoo: Any, domain: sg.Box) -> Scene:
    module = zoo.pendulum()
    return Scene(module, module, (2,), domain)


def taesd(zoo: Any, pixels: int, size: float) -> Scene:
    images = torch.rand(3, 3, pixels, pixels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = zoo.taesd_encoder()(images)
    module = zoo.taesd_decoder(clamp=False)
    return Scene(module, module, tuple(latents.shape[1:]), *triangle(latents, size))


def resnet(zoo: Any) -> Scene:
    module = zoo.resnet2b()
    return Scene(module, module, (3, 32, 32), *triangle(np.random.default_rng(0).random((3, 3072)), 0.03))


def maxpool(zoo: Any, size: float) -> Scene:
    path = zoo.ONNX["mnist_maxpool"]
    return Scene(sg.load_onnx(path), OnnxModule(path), (28, 28, 1), *triangle(zoo.mnist_test()[0][:3] / 255, size))


def acasxu(zoo: Any, file: int, axes: tuple[int, int], half: float) -> Scene:
    path = zoo.ONNX["acasxu"][file]
    plane = sg.Slice(np.zeros(5), np.eye(5)[:, list(axes)])
    return Scene(sg.load_onnx(path), OnnxModule(path), (5,), square(half), plane)


SCENES: dict[str, Callable[[Any], Scene]] = {
    "vae2d_mnist": vae2d,
    "disvae_mnist": lambda zoo: disvae(zoo, "mnist", 0.006),
    "disvae_celeba": lambda zoo: disvae(zoo, "celeba", 0.001),
    "ganlab_line": lambda zoo: ganlab(zoo, "line"),
    "ganlab_gaussians": lambda zoo: ganlab(zoo, "gaussians"),
    "ganlab_ring": lambda zoo: ganlab(zoo, "ring"),
    "ganlab_disjoint": lambda zoo: ganlab(zoo, "disjoint"),
    "pendulum": lambda zoo: pendulum(zoo, sg.Box([0.0, 0.0], [1.0, 1.0])),
    "resnet2b": resnet,
    "mnist_maxpool": lambda zoo: maxpool(zoo, 0.001),
    "acasxu_1_1": lambda zoo: acasxu(zoo, 0, (0, 1), 0.1),
    "acasxu_5_9": lambda zoo: acasxu(zoo, 4, (3, 4), 0.3),
}
SLOW: dict[str, Callable[[Any], Scene]] = {
    "pendulum, all": lambda zoo: pendulum(zoo, square(1.0)),
    "taesd": lambda zoo: taesd(zoo, 8, 0.001),
    "mnist_maxpool, larger": lambda zoo: maxpool(zoo, 0.003),
}


class OnnxModule(nn.Module):
    """What an ONNX file says, for a batch of samples; knows the operators of the files here and no others."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.graph = onnx.load(path).graph
        self.constants = {i.name: torch.tensor(numpy_helper.to_array(i)).double() for i in self.graph.initializer}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {**self.constants, self.graph.input[0].name: x}
        for node in self.graph.node:
            given = [values[name] for name in node.input]
            said = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            values[node.output[0]] = self.apply(node, given, said)
        return values[self.graph.output[0].name]

    def apply(self, node: onnx.NodeProto, x: list[torch.Tensor], said: dict[str, Any]) -> torch.Tensor:
        assert said.get("auto_pad", b"VALID") == b"VALID"
        match node.op_type:
            case "MatMul" if node.input[0] in self.constants:  # without a batch in the file: weight @ x
                return x[1] @ x[0].T
            case "MatMul":
                return x[0] @ x[1]
            case "Add":
                return x[0] + x[1]
            case "Relu":
                return torch.relu(x[0])
            case "Conv":
                return F.conv2d(*x, stride=said["strides"])
            case "MaxPool":
                return F.max_pool2d(x[0], said["kernel_shape"], said["strides"])
            case "Transpose":
                return x[0].permute(said["perm"])
            case "Flatten":
                return x[0].flatten(1)
        raise NotImplementedError(node.op_type)


# -- the other route ---------------------------------------------------------------------------------------------------


class Kernels(TorchDispatchMode):
    """Sees every activation that runs, also those that are called as functions, where a module's hook sees nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bits: list[Array] = []
        self.margins: list[Array] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        aten = torch.ops.aten
        if func is aten.relu.default:
            self.add(args[0][..., None])
        elif func is aten.hardtanh.default:
            low, high = (args[1], args[2]) if len(args) > 2 else (-1.0, 1.0)
            self.add(torch.stack([args[0] - low, args[0] - high], -1))
        elif func is aten.max_pool2d_with_indices.default:
            assert tuple(args[1]) == tuple(args[2]) == (2, 2)
            x = args[0][..., : args[0].shape[2] // 2 * 2, : args[0].shape[3] // 2 * 2]
            e = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).transpose(3, 4).flatten(4)
            first, second = e[..., 0] - e[..., 1], e[..., 2] - e[..., 3]
            final = e[..., :2].amax(-1) - e[..., 2:].amax(-1)
            # A knockout of four; the comparison that the winner was not in has no say, and bit 0.
            nowhere = torch.zeros(())
            first, second = torch.where(final > 0, first, nowhere), torch.where(final > 0, nowhere, second)
            self.add(torch.stack([first, second, final], -1))
        else:
            assert not any(word in func.__name__ for word in ("relu", "pool", "clamp", "max")), func
        return func(*args, **(kwargs or {}))

    def add(self, above: torch.Tensor) -> None:
        flat = above.flatten(1).numpy()
        self.bits.append(flat > 0)
        self.margins.append(np.abs(flat) / max(np.abs(flat).max(), 1e-300))


@dataclass(eq=False)
class Case:
    """A partition, and the module beside it in float64."""

    name: str
    scene: Scene
    network: Any
    part: sg.Partition
    module: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.module = self.scene.module.double()

    def latents(self, points: Array) -> torch.Tensor:
        z = self.part.slice.origin + points @ self.part.slice.basis.T
        return torch.from_numpy(z.reshape(-1, *self.scene.shape))

    def chunks(self, points: Array) -> Iterator[Array]:
        step = max(1, ENTRIES // self.network.n_units)
        return (points[k : k + step] for k in range(0, len(points), step))

    def outputs(self, points: Array) -> Array:
        with torch.no_grad():
            return np.concatenate([self.module(self.latents(p)).flatten(1).numpy() for p in self.chunks(points)])

    def patterns(self, points: Array) -> Array:
        """Packed activation patterns (n, .) in the order of a partition's."""
        packed = []
        for p in self.chunks(points):
            with torch.no_grad(), Kernels() as kernels:
                self.module(self.latents(p))
            packed.append(np.packbits(np.concatenate(kernels.bits, 1), axis=1, bitorder="little"))
        return np.concatenate(packed)

    def assert_off_by_rounding(self, point: Array, region: int) -> None:
        """At a point (2,) of a region, torch's bits differ from the region's in signs of rounding errors only."""
        with torch.no_grad(), Kernels() as kernels:
            self.module(self.latents(point[None]))
        bits, margins = np.concatenate(kernels.bits, 1)[0], np.concatenate(kernels.margins, 1)[0]
        expected = np.unpackbits(self.part.packed_patterns[region], count=len(bits), bitorder="little")
        differ = expected != bits
        assert differ.any()
        assert margins[differ].max() <= ROUNDING

    @cached_property
    def jacobians(self) -> Array:
        """(n, D, 2) derivatives along the slice on some regions: the module's Jacobian times the basis."""
        along = torch.from_numpy(self.part.slice.basis.T.copy()).reshape(2, *self.scene.shape)
        parts = []
        for p in self.chunks(self.part.interior_points[self.some_regions]):
            z = self.latents(p)
            columns = [torch.func.jvp(self.module, (z,), (t.expand_as(z),))[1].flatten(1) for t in along]
            parts.append(torch.stack(columns, 2).detach().numpy())
        return np.concatenate(parts)

    @cached_property
    def some_regions(self) -> Array:
        """Regions whose interior point has their very pattern in torch's arithmetic too."""
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.part))[:SAMPLE])
        points = self.part.interior_points[chosen]
        agrees = (self.patterns(points) == self.part.packed_patterns[chosen]).all(1)
        assert agrees.mean() > 0.9
        for k in np.flatnonzero(~agrees):  # slivers, or units that are zero on all of a region but for rounding
            self.assert_off_by_rounding(points[k], chosen[k])
        return chosen[agrees]


def scaling_and_rank(jacobians: Array) -> tuple[Array, Array]:
    """Psi and nu, from their formulas."""
    sigma = np.linalg.svd(jacobians, compute_uv=False)
    counts = sigma > max(jacobians.shape[1:]) * np.finfo(float).eps * sigma[:, :1]
    psi = np.log(np.where(counts, sigma, 1)).sum(1)
    total = sigma.sum(1, keepdims=True)
    p = sigma / np.where(total > 0, total, 1) + 1e-30
    return psi, np.where(total[:, 0] > 0, np.exp(-(p * np.log(p)).sum(1)), 0)


# -- fixtures ----------------------------------------------------------------------------------------------------------


# One at a time, and let go before the next: patterns of a million units are large.
@pytest.fixture(scope="module", params=[*SCENES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def case(request: pytest.FixtureRequest, zoo: Any) -> Case:
    scene = {**SCENES, **SLOW}[request.param](zoo)
    network = scene.network
    if isinstance(network, nn.Module):
        network = sg.capture(network, scene.shape, drop_output_activation=request.param.startswith("ganlab"))
    return Case(request.param, scene, network, sg.partition(network, scene.domain, scene.plane))


# -- the theorems ------------------------------------------------------------------------------------------------------


def test_regions_fill_the_domain(case: Case) -> None:
    part = case.part
    assert part.complete
    assert part.coverage == 1
    assert len(np.unique(part.packed_patterns, axis=0)) == part.n_regions
    assert part.volumes.min() >= 0
    assert part.volumes.sum() == pytest.approx(part.domain.volume, rel=1e-12)
    assert_watertight(part)  # each inner edge has two sides, and V - E + F = 1
    if case.name.startswith("ganlab"):
        assert_tiles(part)  # small enough for a proof in rational arithmetic


def test_maps_are_those_of_autograd(case: Case) -> None:
    chosen = case.some_regions
    maps, _ = case.part.affine_maps(chosen)
    expected = case.jacobians
    size = np.abs(expected).max((1, 2), keepdims=True)
    assert (np.abs(maps - expected) <= 1e-10 * size).all()


def test_scaling_and_rank_are_those_of_autograd(case: Case) -> None:
    chosen = case.some_regions
    psi, nu = scaling_and_rank(case.jacobians)
    assert (np.abs(case.part.psi[chosen] - psi) <= 1e-10 * np.maximum(1, np.abs(psi))).all()
    assert (np.abs(case.part.nu[chosen] - nu) <= 1e-10 * np.maximum(1, nu)).all()


def test_values_are_those_of_the_module(case: Case) -> None:
    chosen = np.arange(len(case.part))[:: max(1, len(case.part) // SAMPLE)]
    u = case.part.interior_points[chosen]
    maps, offsets = case.part.affine_maps(chosen)
    expected = case.outputs(u)
    size = np.abs(expected).max(1, keepdims=True)
    assert (np.abs(np.einsum("nij,nj->ni", maps, u) + offsets - expected) <= 1e-9 * size).all()


def test_every_sampled_pattern_is_a_region(case: Case) -> None:
    low, high = case.part.domain.vertices.min(0), case.part.domain.vertices.max(0)
    ticks = (np.arange(GRID) + 0.5) / GRID
    points = low + np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2) * (high - low)
    points = points[case.part.domain.contains(points)]
    packed = case.patterns(points)
    index = {row.tobytes(): k for k, row in enumerate(case.part.packed_patterns)}
    regions = np.array([index.get(row.tobytes(), -1) for row in packed])
    known = np.flatnonzero(regions >= 0)
    assert len(known) > 0.9 * len(points)
    assert 1 < len(np.unique(regions[known])) <= case.part.n_regions
    some = known[:: max(1, len(known) // LOCATED)]
    assert np.array_equal(case.part.locate(points[some]), regions[some])
    for k in np.flatnonzero(regions < 0)[:LOCATED]:
        case.assert_off_by_rounding(points[k], int(case.part.locate(points[k])))


def test_summaries_agree(case: Case) -> None:
    summary = sg.summarise(case.network, case.scene.domain, case.scene.plane)
    part = case.part
    assert summary.complete
    assert (summary.n_regions, summary.n_edges, summary.n_vertices) == (part.n_regions, part.n_edges, part.n_vertices)
    assert summary.area == pytest.approx(part.domain.volume, rel=1e-12)
    mean = np.average(part.psi, weights=part.volumes)
    assert summary.moments["psi"].mean == pytest.approx(mean, rel=1e-9, abs=1e-9)
