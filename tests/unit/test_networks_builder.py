"""The builder's rewrites change nothing: random graphs against their plain evaluation, exactly, on small integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splinegeo._errors import InvalidArgument, NotPiecewiseLinear
from splinegeo.networks.builder import Builder, Site

Z = np.array([[0, 0], [1, -2], [-3, 5], [7, 7], [-1, 0]], float)


@given(st.data())
def test_rewrites_are_exact(data: st.DataObject) -> None:
    b = Builder(2)
    live: list[tuple[int, np.ndarray]] = [(0, Z)]
    integers = st.integers(-2, 2)

    def vector(n: int) -> np.ndarray:
        return np.array(data.draw(st.lists(integers, min_size=n, max_size=n)), float)

    for _ in range(data.draw(st.integers(1, 12))):
        kind = data.draw(st.sampled_from(["select", "combine", "linear", "knot"]))
        node, x = data.draw(st.sampled_from(live))
        n = x.shape[1]
        if kind == "select":
            chosen = data.draw(st.lists(st.sampled_from(live), min_size=1, max_size=3))
            joined = np.concatenate([v for _, v in chosen], 1)
            index = data.draw(st.lists(st.integers(0, joined.shape[1] - 1), min_size=1, max_size=4))
            live.append((b.select([i for i, _ in chosen], np.array(index)), joined[:, index]))
        elif kind == "combine":
            same = data.draw(st.lists(st.sampled_from([p for p in live if p[1].shape[1] == n]), max_size=2))
            terms, bias = [(node, x), *same], vector(n)
            scales = [vector(n) for _ in terms]
            result = b.combine([i for i, _ in terms], scales, bias)
            value = bias + sum(s * v for s, (_, v) in zip(scales, terms, strict=True))
            if isinstance(result, int):
                live.append((result, value))
            else:
                assert (result == value).all()
        elif kind == "linear":
            weight, bias = np.stack([vector(n) for _ in range(3)]), vector(3)
            live.append((b.linear(node, weight, bias), x @ weight.T + bias))
        else:
            slopes, at, value = np.stack([vector(n), vector(n)], 1), vector(n), vector(n)
            result = b.knot(node, at[:, None], slopes, value)
            live.append((result, value + np.where(x < at, slopes[:, 0], slopes[:, 1]) * (x - at)))
    output, expected = live[-1]
    net = b.finish(output, (2,), (expected.shape[1],))
    assert (net(Z) == expected).all()


def test_an_input_without_a_say_is_dropped() -> None:
    b = Builder(2)
    other = b.linear(0, np.eye(2), np.zeros(2))
    kept = b.combine([0, other], [np.zeros(2), np.ones(2)], np.ones(2))
    assert isinstance(kept, int)
    assert b.nodes[kept].inputs == (other,)
    assert b.combine([0], [np.ones(2)], np.zeros(2)) == 0
    constant = b.combine([0, other], [np.zeros(2), np.zeros(2)], np.ones(2))
    assert isinstance(constant, np.ndarray)


def test_a_knot_is_left_out_only_if_it_is_the_identity() -> None:
    b = Builder(1)
    ones, at = np.ones((1, 2)), np.array([[2.0]])
    assert b.knot(0, at, ones, np.array([2.0])) == 0
    shifted = b.knot(0, at, ones, np.array([3.0]))
    assert b.finish(shifted, (1,), (1,))([[5.0]]).tolist() == [[6.0]]
    doubled = b.knot(0, 0 * at, 2 * ones, np.zeros(1))
    assert b.finish(doubled, (1,), (1,)).n_units == 0


def test_scales_are_added_only_when_that_is_exact() -> None:
    b = Builder(1)
    merged = b.combine([0, 0], [np.array([1.0]), np.array([0.5])], np.zeros(1))
    assert b.nodes[merged].inputs == (0,)
    kept = b.combine([0, 0], [np.array([1.0]), np.array([1e-30])], np.zeros(1))
    assert b.nodes[kept].inputs == (0, 0)
    assert (b.combine([0, 0], [np.array([0.1]), np.array([-0.1])], np.ones(1)) == 1).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_must_be_finite(bad: float) -> None:
    b = Builder(1)
    b.site = Site("layer", "aten.linear")
    with pytest.raises(InvalidArgument, match=r"^'layer' applies aten\.linear with a constant that is (nan|inf)"):
        b.linear(0, np.array([[bad]]), np.zeros(1))


@pytest.mark.parametrize(
    ("site", "name", "description"),
    [
        (Site("act2", "aten.relu", "model.py:31"), "act2", "'act2' applies aten.relu (model.py:31)"),
        (
            Site("block", "aten.relu", "model.py:31", False),
            "block: relu (model.py:31)",
            "'block' applies aten.relu (model.py:31)",
        ),
        (Site("block", "aten.relu", "", False), "block: relu", "'block' applies aten.relu"),
    ],
    ids=["layer", "line", "unknown line"],
)
def test_sites(site: Any, name: str, description: str) -> None:
    assert site.node_name == name
    b = Builder(1)
    b.site = site
    with pytest.raises(NotPiecewiseLinear) as caught:
        b.refuse(", no.")
    assert str(caught.value) == description + ", no."
