"""One row for each hostile argument: the error, and what its message must say. `test_bad_networks` has the modules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splinegeo as sg
from splinegeo.networks.graph import SplineNetwork
from splinegeo.testing import mlp

BOX = sg.Box([-2, -2], [2, 2])


def network(n_inputs: int = 2, n_outputs: int = 3) -> SplineNetwork:
    rng = np.random.default_rng(0)
    return mlp(
        [rng.normal(size=(6, n_inputs)), rng.normal(size=(n_outputs, 6))], [rng.normal(size=6), np.zeros(n_outputs)]
    )


@cache
def part() -> sg.Partition:
    return sg.partition(network(), BOX)


def module(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), *layers, nn.Linear(3, 2))


def with_weight(value: float) -> nn.Module:
    net = module(nn.ReLU()).eval()
    with torch.no_grad():
        net[0].weight[0, 0] = value
    return net


def call(*args: Any, **kwargs: Any) -> Callable[[], Any]:
    """`sg.partition` of a small network over a box, with these arguments in place of the good ones."""
    given = dict(zip(("net", "domain", "slice"), args, strict=False)) | kwargs
    return lambda: sg.partition(**({"net": network(), "domain": BOX} | given))


def plane(e: int, d: int = 2) -> sg.Slice:
    return sg.Slice(np.zeros(e), np.eye(e)[:, :d])


W, I, S = sg.WrongType, sg.InvalidArgument, sg.ShapeMismatch  # noqa: E741 - three letters for a long table
Row = tuple[Callable[[], Any], type[sg.SplineGeoError], str]

PARTITION: dict[str, Row] = {
    "no net": (call(None), W, "torch.nn.Module; got NoneType; wrap it in an nn.Module"),
    "function as net": (call(lambda x: x), W, "torch.nn.Module; got function; wrap it"),
    "array as net": (call(np.eye(2)), W, "torch.nn.Module; got ndarray"),
    "class as net": (call(nn.ReLU), W, "torch.nn.Module; got type"),
    "arguments swapped": (call(BOX, network()), W, "domain is a Box or a Polygon, not SplineNetwork"),
    "no domain": (call(domain=None), W, "domain is a Box or a Polygon, not NoneType"),
    "domain as pair": (call(domain=([-1, -1], [1, 1])), W, "domain is a Box or a Polygon, not tuple"),
    "domain as array": (call(domain=np.zeros((4, 2))), W, "domain is a Box or a Polygon, not ndarray"),
    "domain as class": (call(domain=sg.Box), W, "domain is a Box or a Polygon, not type"),
    "domain is a slice": (call(domain=plane(2)), W, "domain is a Box or a Polygon, not Slice"),
    "box in space": (call(domain=sg.Box([0] * 3, [1] * 3)), S, "domain has 3 coordinates, the network takes 2"),
    "box on a line": (call(domain=sg.Box([0], [1])), S, "domain has 1 coordinates, the network takes 2"),
    "slice as tuple": (call(slice=(np.zeros(2), np.eye(2))), W, "slice is a Slice or None, not tuple"),
    "slice as array": (call(slice=np.eye(2)), W, "slice is a Slice or None, not ndarray"),
    "budget as slice": (call(slice=sg.Budget()), W, "slice is a Slice or None, not Budget"),
    "slice missing": (call(network(3)), S, r"takes 3 inputs.*give a plane.*Slice\.through"),
    "slice of another space": (call(slice=plane(3)), S, r"slice lies in R\^3, the network takes 2 inputs"),
    "slice is a line": (call(slice=plane(2, 1)), S, "slice is 1-dimensional, the domain 2-dimensional"),
    "slice is a space": (call(network(3), slice=plane(3, 3)), S, "slice is 3-dimensional, the domain 2-dimensional"),
    "budget as int": (call(budget=100), W, "budget is a Budget or None, not int"),
    "budget as dict": (call(budget={"regions": 3}), W, "budget is a Budget or None, not dict"),
    "no thread": (call(threads=0), I, r"threads=0\): at least one thread"),
    "minus one thread": (call(threads=-1), I, r"threads=-1\): at least one thread"),
    "threads as float": (call(threads=2.0), W, r"threads=2\.0\): a whole number.* None for all cores"),
    "threads as text": (call(threads="2"), W, r"threads='2'\): a whole number"),
    "threads as flag": (call(threads=True), W, r"threads=True\): a whole number"),
    "threads nan": (call(threads=float("nan")), W, r"threads=nan\): a whole number"),
}

MODULES: dict[str, Row] = {
    "nan weight": (lambda: sg.partition(with_weight(float("nan")), BOX), I, "'0.weight' holds nan.*finite weights"),
    "inf weight": (lambda: sg.partition(with_weight(float("inf")), BOX), I, "'0.weight' holds inf.*finite weights"),
    "gelu": (
        lambda: sg.partition(module(nn.GELU()).eval(), BOX),
        sg.NotPiecewiseLinear,
        "'1' applies aten.gelu.*smooth",
    ),
    "tanh": (
        lambda: sg.partition(module(nn.Tanh()).eval(), BOX),
        sg.NotPiecewiseLinear,
        "'1' applies aten.tanh.*smooth",
    ),
    "dropout on": (
        lambda: sg.partition(module(nn.Dropout(0.5)), BOX),
        I,
        r"'1' \(Dropout\).*training mode.*\.eval\(\)",
    ),
    "complex": (
        lambda: sg.partition(nn.Linear(2, 2, dtype=torch.complex64), BOX),
        sg.UnsupportedOperation,
        "'weight' is complex",
    ),
    "three inputs, no slice": (lambda: sg.partition(nn.Sequential(nn.Linear(3, 2)), BOX), S, "3|input"),
    "two inputs, slice of R^5": (lambda: sg.partition(module(nn.ReLU()), BOX, plane(5)), S, "5|input"),
}

NAN, INF = float("nan"), float("inf")
BUDGET: dict[str, Row] = {
    f"{name}={value!r}": (lambda n=name, v=value: sg.Budget(**{n: v}), error, rf"Budget\({name}=.*{says}")
    for name, value, error, says in [
        ("regions", 0, I, "positive; None means no limit"),
        ("regions", -3, I, "positive; None means no limit"),
        ("regions", 2.5, W, "a whole number.* None for no limit"),
        ("regions", True, W, "a whole number"),
        ("regions", "10", W, "a whole number"),
        ("regions", [10], W, "a whole number"),
        ("regions", 1j, W, "a whole number"),
        ("regions", NAN, sg.SplineGeoError, ""),
        ("regions", INF, sg.SplineGeoError, ""),
        ("memory", NAN, sg.SplineGeoError, ""),
        ("memory", INF, sg.SplineGeoError, ""),
        ("memory", 0, I, "positive"),
        ("memory", "1GB", W, "a whole number"),
        ("seconds", 0, I, "positive"),
        ("seconds", -1.5, I, "positive"),
        ("seconds", NAN, I, "positive"),
        ("seconds", "5", W, "a number is expected"),
        ("seconds", 1j, W, "a number is expected"),
        ("seconds", False, W, "a number is expected"),
    ]
}

LOCATE: dict[str, Row] = {
    f"points {name}": (lambda p=points: part().locate(p), error, "(locate|points).*")
    for name, points, error in [
        ("None", None, sg.SplineGeoError),
        ("text", "abc", W),
        ("texts", ["a", "b"], W),
        ("complex", [1j, 0], W),
        ("objects", [object(), 1], W),
        ("ragged", [[1, 2], [3]], W),
        ("a number", 1.0, S),
        ("empty list", [], S),
        ("three columns", np.zeros((4, 3)), S),
        ("too large", [10**400, 1], sg.SplineGeoError),
    ]
}

MAPS: dict[str, Row] = {
    f"regions {name}": (lambda r=regions: part().affine_maps(r), sg.SplineGeoError, "affine_maps.*0 to")
    for name, regions in [
        ("negative", -1),
        ("too large", 10**6),
        ("huge", 10**30),
        ("float", [0.0]),
        ("text", "all"),
        ("None inside", [None]),
        ("slice", slice(0, 2)),
        ("mask", [True, False]),
        ("ragged", [[0], [0, 1]]),
        ("table", [[0, 1], [2, 3]]),
    ]
}

BOUNDARY: dict[str, Row] = {
    f"boundary {args} {kwargs}"[:60]: (
        lambda a=args, k=kwargs: part().decision_boundary(*a, **k),
        sg.SplineGeoError,
        says,
    )
    for args, kwargs, says in [
        ((-1,), {}, "i=-1.*0 to 2"),
        ((3,), {}, "i=3.*0 to 2"),
        ((0, 3), {}, "j=3.*0 to 2"),
        ((0, 0), {}, "ties with itself"),
        ((0.0,), {}, "i=0.0"),
        (("0",), {}, "i='0'"),
        (([0],), {}, r"i=\[0\]"),
        ((None,), {}, "i=None"),
        ((None, 1), {}, "i=None"),
        ((True,), {}, "i=True"),
        ((0, 1), {"level": 1.0}, "level=1.0.* single output"),
        ((0,), {"level": NAN}, "level=nan.* finite"),
        ((0,), {"level": INF}, "level=inf.* finite"),
        ((0,), {"level": "0"}, "level='0'"),
        ((0,), {"level": None}, "level=None"),
        ((0,), {"level": 1j}, "level=1j"),
        ((0,), {"level": np.zeros(2)}, "level="),
        ((0,), {"level": 10**400}, "level="),
    ]
}

STATISTICS: dict[str, Row] = {
    "unknown descriptor": (lambda: part().summary("area"), I, "'area'.*choose 'psi', 'nu' or 'volume'"),
    "descriptor None": (lambda: part().summary(None), I, "None.*choose 'psi'"),
    "descriptors in a list": (lambda: part().summary(["psi"]), I, r"\['psi'\].*choose 'psi'"),
    "histogram of what": (lambda: part().histogram("x"), I, "'x'.*choose 'psi'"),
    "quantile above one": (lambda: part().summary("nu", [2.0]), I, r"quantiles.*\[0, 1\]"),
    "quantile nan": (lambda: part().summary("nu", [NAN]), I, r"quantiles.*\[0, 1\]"),
    "quantile scalar": (lambda: part().summary("nu", 0.5), I, "quantiles.*sequence"),
    "no bins": (lambda: part().histogram(bins=0), sg.SplineGeoError, "bins"),
    "minus one bin": (lambda: part().histogram(bins=-1), sg.SplineGeoError, "bins"),
    "bins 1.5": (lambda: part().histogram(bins=1.5), sg.SplineGeoError, "bins"),
    "bins None": (lambda: part().histogram(bins=None), sg.SplineGeoError, "bins"),
    "bins text": (lambda: part().histogram(bins="auto"), sg.SplineGeoError, "bins"),
    "bins backwards": (lambda: part().histogram(bins=[1.0, 0.0]), sg.SplineGeoError, "bins"),
    "bins nan": (lambda: part().histogram(bins=[0.0, NAN]), sg.SplineGeoError, "bins"),
}

DOMAINS: dict[str, Row] = {
    "box without area": (lambda: sg.Box([0, 0], [1, 0]), I, "coordinate 1 has lower 0.0 and upper 0.0"),
    "box upside down": (lambda: sg.Box([1, 0], [0, 1]), I, "coordinate 0 has lower 1.0 and upper 0.0"),
    "box with nan": (lambda: sg.Box([NAN, 0], [1, 1]), I, "lower must be finite; found nan"),
    "box without end": (lambda: sg.Box([0, 0], [INF, 1]), I, "upper must be finite; found inf"),
    "box of text": (lambda: sg.Box("ab", "cd"), W, "lower must hold real numbers; got text"),
    "box of complex": (lambda: sg.Box([0j, 0], [1, 1]), W, "lower must hold real numbers; got complex"),
    "box of two lengths": (lambda: sg.Box([0], [1, 1]), S, "one length; got 1 and 2"),
    "box of numbers": (lambda: sg.Box(0, 1), S, "lower must have 1 dimension"),
    "polygon of two": (lambda: sg.Polygon([[0, 0], [1, 1]]), I, "at least 3 vertices; got 2"),
    "flat polygon": (lambda: sg.Polygon([[0, 0], [1, 1], [2, 2]]), I, "zero area.*three that do not"),
    "reflex polygon": (
        lambda: sg.Polygon([[0, 0], [2, 0], [0.5, 0.5], [0, 2]]),
        I,
        r"not convex.*vertex 2.*\(0.5, 0.5\)",
    ),
    "bow tie": (lambda: sg.Polygon([[0, 0], [1, 1], [1, 0], [0, 1]]), I, "not convex|intersects itself"),
    "polygon in space": (lambda: sg.Polygon(np.zeros((4, 3))), S, r"shape \(n, 2\); got \(4, 3\)"),
    "polygon with nan": (lambda: sg.Polygon([[0, 0], [1, NAN], [1, 1]]), I, r"finite; found nan at \[1, 1\]"),
    "slice along itself": (lambda: sg.Slice([0, 0], [[1, 2], [1, 2]]), I, "independent.*column 1"),
    "slice transposed": (lambda: sg.Slice(np.zeros(3), np.eye(3)[:2]), S, "one row per entry of origin.*transpose"),
    "slice with inf": (lambda: sg.Slice([0, INF], np.eye(2)), I, "origin must be finite"),
    "three points on a line": (lambda: sg.Slice.through([0, 0], [1, 1], [2, 2]), I, "independent.*one line"),
    "latents of two lengths": (lambda: sg.Slice.through([0, 0], [1, 1, 1], [2, 2]), S, "one length"),
}

TABLE = PARTITION | MODULES | BUDGET | LOCATE | MAPS | BOUNDARY | STATISTICS | DOMAINS


@pytest.mark.parametrize("row", list(TABLE))
def test_error_and_message(row: str) -> None:
    """The library's own error, which also says which argument and what to do."""
    run, error, says = TABLE[row]
    with pytest.raises(error, match=f"(?s){says}"):
        run()


@pytest.mark.parametrize("key", ["psi", None, 1.5, [0], 10**6, -(10**6)])
def test_an_impossible_index(key: Any) -> None:
    """Sequences raise the errors of sequences, in words."""
    kind = IndexError if isinstance(key, int) else TypeError
    with pytest.raises(kind, match="region"):
        part()[key]
    with pytest.raises(kind, match="row"):
        part().polygons[key]


@pytest.mark.parametrize(
    "run",
    [
        call(threads=np.int64(2)),
        call(threads=10**9),
        call(budget=sg.Budget(regions=10**30)),
        call(budget=sg.Budget(seconds=INF)),
        call(budget=sg.Budget(memory=10**30)),
        call(slice=sg.Slice.identity(2)),
        call(domain=sg.Polygon([[-2, -2], [2, -2], [2, 2], [-2, 2]])),
    ],
    ids=["numpy threads", "many threads", "10^30 regions", "forever", "all memory", "identity", "square"],
)
def test_odd_but_right(run: Callable[[], sg.Partition]) -> None:
    """Strange values with a plain meaning give the plain answer."""
    assert run().complete
    assert run().n_regions == part().n_regions


@pytest.mark.parametrize("value", [10, 10.0, np.int64(10), np.float64(10)], ids=["int", "float", "int64", "float64"])
def test_whole_numbers_of_any_type(value: Any) -> None:
    """Ten is ten."""
    assert sg.partition(network(), BOX, budget=sg.Budget(regions=value)).n_regions == 10


def test_empty_selections_are_no_error() -> None:
    """No points, no regions: empty arrays of the right shape."""
    assert part().locate(np.zeros((0, 2))).shape == (0,)
    assert part().locate(np.zeros((3, 0, 2))).shape == (3, 0)
    for nothing in ([], (), np.zeros(0, np.int64)):
        a, b = part().affine_maps(nothing)
        assert a.shape == (0, 3, 2)
        assert b.shape == (0, 3)


def test_a_partition_cannot_be_changed() -> None:
    """Frozen, and its arrays with it, also those that are computed once and kept."""
    p = part()
    with pytest.raises(AttributeError):
        p.complete = False  # type: ignore[misc]
    for name in ("vertices", "edge_regions", "singular_values", "volumes", "interior_points"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(p, name)[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        p.linear_regions()[0] = 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(p)
