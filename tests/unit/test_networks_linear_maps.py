"""Affine nodes as maps, rows and matrices; tournaments; what a network with them keeps, and refuses."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch.nn import functional as F

from splinegeo._errors import FileFormatError, InvalidArgument, ShapeMismatch
from splinegeo.networks import Convolution, Input, Maximum, Sparse, SplineNetwork, from_arrays, linear_maps, to_arrays
from splinegeo.networks.builder import Builder
from splinegeo.networks.tournament import canonical_bits, schedule, winners


@st.composite
def convolutions(draw: st.DrawFn) -> SplineNetwork:
    """Any convolution of small integers."""
    d, groups = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    each = st.lists(st.integers(1, 3), min_size=d, max_size=d)
    window, stride, dilation = draw(each), draw(each), draw(each)
    padding = draw(st.lists(st.integers(0, 2), min_size=d, max_size=d))
    transposed = draw(st.booleans())
    c_in, c_out = (groups * draw(st.integers(1, 2)) for _ in range(2))
    reach = [t * (k - 1) + 1 for t, k in zip(dilation, window, strict=True)]
    space = [max(1, r - 2 * p) + draw(st.integers(0, 2)) for r, p in zip(reach, padding, strict=True)]
    if transposed:
        space = [n + 2 * p for n, p in zip(space, padding, strict=True)]
        extra = [draw(st.integers(0, max(s, t) - 1)) for s, t in zip(stride, dilation, strict=True)]
        geometry = zip(space, stride, padding, reach, extra, strict=True)
        out = [(n - 1) * s - 2 * p + r + e for n, s, p, r, e in geometry]
    else:
        out = [(n + 2 * p - r) // s + 1 for n, s, p, r in zip(space, stride, padding, reach, strict=True)]
    first, second = (c_in, c_out // groups) if transposed else (c_out, c_in // groups)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kernel = rng.integers(-3, 4, (first, second, *window))
    b = Builder(c_in * int(np.prod(space)))
    node = b.convolution(
        0,
        kernel,
        rng.integers(-3, 4, c_out),
        (c_in, *space),
        (c_out, *out),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        transposed=transposed,
    )
    return b.finish(node, (c_in, *space), (c_out, *out))


def by_torch(node: Convolution, x: np.ndarray) -> np.ndarray:
    """The convolution as torch defines it, on NumPy arrays."""
    d = len(node.stride)
    image, kernel, bias = (torch.tensor(a) for a in (x.reshape(-1, *node.in_shape), node.kernel, node.bias))
    if not node.transposed:
        f = (F.conv1d, F.conv2d, F.conv3d)[d - 1]
        y = f(image, kernel, bias, node.stride, node.padding, node.dilation, node.groups)
    else:
        f = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[d - 1]
        bare = f(image, kernel, None, node.stride, node.padding, 0, node.groups, node.dilation).shape[2:]
        extra = tuple(n - m for n, m in zip(node.out_shape[1:], bare, strict=True))
        y = f(image, kernel, bias, node.stride, node.padding, extra, node.groups, node.dilation)
    return y.numpy().reshape(len(x), -1)


@given(convolutions(), st.data())
def test_a_convolution_is_its_matrix(net: SplineNetwork, data: st.DataObject) -> None:
    node = net.nodes[-1]
    assert isinstance(node, Convolution)
    x = np.random.default_rng(0).integers(-5, 6, (3, net.n_inputs)).astype(float)
    matrix = linear_maps.matrix(node)
    # Small integers: all of this is exact.
    assert (x @ matrix.T + linear_maps.bias(node) == by_torch(node, x)).all()
    assert_consistent(node, x, data.draw(st.lists(st.integers(0, node.size - 1), max_size=5)))
    assert (net(x) == by_torch(node, x)).all()
    assert (net.magnitudes(np.abs(x))[-1] == np.abs(x) @ np.abs(matrix).T + np.abs(linear_maps.bias(node))).all()
    assert (matrix != 0).sum(1).max() <= linear_maps.terms(node)
    again = from_arrays(to_arrays(net))
    assert {k: v.tobytes() for k, v in to_arrays(again).items()} == {k: v.tobytes() for k, v in to_arrays(net).items()}


def assert_consistent(node: Any, x: np.ndarray, some: list[int]) -> None:
    """`apply`, `apply_abs`, `apply_square`, `rows` and `matrix` describe one map."""
    matrix = linear_maps.matrix(node)
    assert (linear_maps.apply(node, x) == x @ matrix.T).all()
    assert (linear_maps.apply_abs(node, x) == x @ np.abs(matrix).T).all()
    assert (linear_maps.apply_square(node, x) == x @ (matrix**2).T).all()
    assert (linear_maps.apply(node, x, device="cpu", dtype="float32") == x @ matrix.T).all()
    rows = linear_maps.rows(node, some)
    assert isinstance(rows, csr_array)
    assert rows.has_canonical_format
    assert (rows.data != 0).all()
    assert rows.shape == (len(some), matrix.shape[1])
    assert (rows.toarray() == matrix[some]).all()


@pytest.mark.parametrize("kind", ["linear", "sparse"])
def test_matrices_are_themselves(kind: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-2, 3, (200, 100)).astype(float)
    b = Builder(100)
    i = b.linear(0, weight, np.ones(200)) if kind == "linear" else b.sparse(0, csr_array(weight), np.ones(200))
    net = b.finish(i, (100,), (200,))
    assert type(net.nodes[-1]).__name__.lower() == kind
    assert (linear_maps.matrix(net.nodes[-1]) == weight).all()
    x = rng.integers(-5, 6, (4, 100)).astype(float)
    assert_consistent(net.nodes[-1], x, [0, 199, 7, 7])
    assert (from_arrays(to_arrays(net))(x) == x @ weight.T + 1).all()
    with pytest.raises(InvalidArgument, match="lie between 0 and 199"):
        linear_maps.rows(net.nodes[-1], [200])


def test_large_batches_of_convolutions_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder(50)
    i = b.convolution(
        0, np.arange(6.0).reshape(2, 1, 3), np.ones(2), (1, 50), (2, 48), stride=[1], padding=[0], dilation=[1]
    )
    node = b.nodes[i]
    x = np.random.default_rng(0).integers(-5, 6, (20, 50)).astype(float)
    whole = linear_maps.apply(node, x)
    monkeypatch.setattr(linear_maps, "CHUNK_BYTES", 5000)
    assert (linear_maps.apply(node, x) == whole).all()


@given(st.integers(2, 17))
def test_schedules(k: int) -> None:
    plan = schedule(k)
    assert len(plan.pairs) == len(plan.parents) == len(plan.sides) == k - 1
    seen = sorted(e for pair in plan.pairs for e in pair)
    assert seen == list(range(2 * k - 2))  # everybody but the winner of the final loses or is passed on once
    assert plan.pairs[: k // 2] == tuple((2 * i, 2 * i + 1) for i in range(k // 2))
    assert (plan.parents[-1], plan.sides[-1]) == (-1, -1)
    for c, (above, side) in enumerate(zip(plan.parents[:-1], plan.sides[:-1], strict=True)):
        assert above > c
        assert plan.pairs[above][0 if side else 1] == k + c


@given(st.data())
def test_bits_name_the_winner_and_nothing_else(data: st.DataObject) -> None:
    k, size, m = data.draw(st.integers(2, 9)), 3, 6
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    node = Maximum("max", size, (0,), rng.integers(0, m, (size, k)))
    x = rng.integers(-2, 3, (40, m)).astype(float)
    bits = canonical_bits(node, x)
    assert bits.shape == (40, size, k - 1)
    chosen = winners(node, bits)
    largest = x[:, node.groups].max(2)
    assert (np.take_along_axis(x, chosen, 1) == largest).all()
    # One pattern for each place in the group that can win: k patterns in all.
    for unit in range(size):
        assert len(np.unique(bits[:, unit], axis=0)) <= k
    # Each bit by the definition, played out by hand.
    plan = schedule(k)
    for i, unit in np.ndindex(4, size):
        standing = [Fraction(x[i, e]) for e in node.groups[unit]]
        won = []
        for left, right in plan.pairs:
            won.append(standing[left] > standing[right])
            standing.append(max(standing[left], standing[right]))
        matters = [False] * (k - 2) + [True]
        for c in range(k - 3, -1, -1):
            matters[c] = matters[plan.parents[c]] and won[plan.parents[c]] == bool(plan.sides[c])
        assert bits[i, unit].tolist() == [int(w and n) for w, n in zip(won, matters, strict=True)]


def test_a_maximum_counts_as_a_knot() -> None:
    nodes = (Input("input", 4, ()), Maximum("pool", 2, (0,), np.array([[0, 1, 2], [3, 3, 1]])))
    net = SplineNetwork(nodes, 1, (4,), (2,), ("'9' applies aten.tanh",))
    assert (net.knots, net.n_units, net.n_breakpoints) == ((1,), 2, 4)
    assert net.breakpoint_units.tolist() == [0, 0, 1, 1]
    assert net.unit_name(1) == "pool[1]"
    assert net([[1.0, -2.0, 3.0, -4.0]]).tolist() == [[3.0, -2.0]]
    assert repr(net) == "<SplineNetwork R^4 -> R^2, 2 units in 1 knots, without '9' applies aten.tanh>"
    again = from_arrays(to_arrays(net))
    assert again.dropped == net.dropped
    assert again.nodes[1].groups.tolist() == net.nodes[1].groups.tolist()
    with pytest.raises(InvalidArgument, match="two entries at least; got 1"):
        schedule(1)


def test_groups_read_through_rearrangements_and_single_entries_are_no_maximum() -> None:
    b = Builder(4)
    turned = b.select([0], np.array([3, 2, 1, 0]))
    pool = b.nodes[b.maximum(turned, np.array([[0, 1], [2, 2]]))]
    assert pool.inputs == (0,)
    assert pool.groups.tolist() == [[3, 2], [1, 1]]
    assert b.maximum(0, np.arange(4)[:, None]) == 0


def network(node: Any) -> SplineNetwork:
    return SplineNetwork((Input("input", 6, ()), node), 1, (6,), (node.size,))


CONV = Convolution("c", 4, (0,), np.ones((1, 1, 3)), np.zeros(1), (1, 6), (1, 4), (1,), (0,), (1,), 1, False)
TRANSPOSE = Convolution("c", 8, (0,), np.ones((1, 1, 3)), np.zeros(1), (1, 6), (1, 8), (1,), (0,), (1,), 1, True)
SPARSE = Sparse("s", 2, (0,), csr_array(np.eye(2, 6)), np.zeros(2))


def sparse(data: Any, indices: Any, indptr: Any) -> Sparse:
    weight = csr_array((2, 6))
    weight.data, weight.indices, weight.indptr = np.array(data, float), np.array(indices), np.array(indptr)
    return replace(SPARSE, weight=weight)


@pytest.mark.parametrize(
    ("node", "error", "message"),
    [
        (replace(CONV, kernel=np.ones((1, 1, 2))), ShapeMismatch, r"give \(5,\), not \(1, 4\)"),
        (replace(CONV, kernel=np.ones((1, 2, 3))), ShapeMismatch, r"kernel must be float64 of shape \(1, 1, 3\)"),
        (replace(CONV, kernel=np.full((1, 1, 3), np.inf)), InvalidArgument, "kernel holds inf"),
        (replace(CONV, bias=np.zeros(2)), ShapeMismatch, r"bias must be float64 of shape \(1,\)"),
        (replace(CONV, stride=(1, 1)), ShapeMismatch, "1 to 3 dimensions throughout"),
        (replace(CONV, stride=(0,)), InvalidArgument, "at least 1"),
        (replace(CONV, padding=(-1,)), InvalidArgument, "not negative"),
        (replace(CONV, groups=2), ShapeMismatch, "2 groups do not divide"),
        (replace(CONV, in_shape=(1, 5)), ShapeMismatch, r"does not map \(1, 5\) to"),
        (replace(TRANSPOSE, size=9, out_shape=(1, 9)), ShapeMismatch, r"give \(8,\), not \(1, 9\)"),
        (replace(SPARSE, weight=csr_array((2, 5))), ShapeMismatch, r"csr_array of shape \(2, 6\)"),
        (sparse([1.0], [6], [0, 1, 1]), InvalidArgument, "indices must lie between 0 and 5"),
        (sparse([1.0, 1.0], [3, 3], [0, 2, 2]), InvalidArgument, "ascend strictly"),
        (sparse([1.0, 1.0], [3, 2], [0, 2, 2]), InvalidArgument, "ascend strictly"),
        (sparse([1.0], [3], [0, 2, 1]), InvalidArgument, "indptr must rise"),
        (sparse([np.nan], [3], [0, 1, 1]), InvalidArgument, "holds nan"),
        (Maximum("m", 1, (0,), np.array([[0]])), ShapeMismatch, "over 1 entries"),
        (Maximum("m", 1, (0,), np.array([[0, 6]])), InvalidArgument, "groups must lie between 0 and 5"),
        (Maximum("m", 1, (0,), np.array([[0.0, 1.0]])), ShapeMismatch, "groups must be int64"),
    ],
    ids=range(19),
)
def test_bad_nodes_are_refused(node: Any, error: type[Exception], message: str) -> None:
    for good in (CONV, TRANSPOSE, SPARSE):
        network(good)
    with pytest.raises(error, match=message):
        network(node)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"1.weight.indptr": np.zeros(2, np.int64)}, "do not form a sparse matrix of 2 rows"),
        ({"1.weight.indices": np.array([0, 6])}, "sparse matrix|between 0 and 5"),
        ({"1.weight.indices": np.array([0.0, 1.0])}, "must be int64"),
        ({"1.weight.data": np.array([[1.0, 1.0]])}, "do not form a sparse matrix"),
    ],
    ids=range(4),
)
def test_damaged_sparse_arrays_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        from_arrays({**to_arrays(network(SPARSE)), **change})
