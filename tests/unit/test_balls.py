"""Balls of the ℓ1 norm and their frames."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import splinegeo as sg
from splinegeo.balls import random_frame


def test_a_ball_is_a_value() -> None:
    ball = sg.L1Ball([1, 2, 3], 0.5, dim=2, rng=4)
    assert ball == sg.L1Ball([1, 2, 3], 0.5, ball.frame)
    assert ball != sg.L1Ball([1, 2, 3], 0.25, ball.frame)
    assert hash(ball) == hash(pickle.loads(pickle.dumps(ball)))
    assert pickle.loads(pickle.dumps(ball)) == ball
    assert repr(ball) == "<L1Ball of radius 0.5 and dimension 2 in R^3>"
    assert repr(object.__new__(sg.L1Ball)) == "<L1Ball>"
    assert (ball.dim, ball.ambient_dim) == (2, 3)
    with pytest.raises(ValueError, match="read-only"):
        ball.frame[0, 0] = 1


def test_vertices_lie_on_the_boundary() -> None:
    ball = sg.L1Ball(np.arange(5.0), 0.3, dim=3, rng=1)
    assert ball.vertices.shape == (6, 5)
    u = ball.slice.coordinates(ball.vertices)
    np.testing.assert_allclose(np.abs(u).sum(1), 0.3, rtol=1e-13)
    np.testing.assert_allclose(ball.embed(u), ball.vertices, atol=1e-14)
    assert ball.volume == pytest.approx(0.6**3 / 6)


def test_contains_is_decided_exactly() -> None:
    ball = sg.L1Ball(np.zeros(3), 0.3, np.eye(3))
    assert 0.1 + 0.1 + 0.1 > 0.3  # what floating point says of the sum; exactly, 3 * 0.1 is above 0.3, too
    assert ball.contains([[0.1, 0.1, 0.1], [0.1, -0.1, 0.09999999999999998], [0, 0, 0.3]]).tolist() == [
        False,
        True,
        True,
    ]


def test_a_ball_in_the_plane_is_a_polygon() -> None:
    ball = sg.L1Ball([0, 0, 1], 0.5, dim=2)
    assert ball.polygon == sg.Polygon([[0.5, 0], [0, 0.5], [-0.5, 0], [0, -0.5]])
    assert ball.volume == pytest.approx(ball.polygon.volume)
    with pytest.raises(sg.InvalidArgument, match="dimension 2"):
        _ = sg.L1Ball([0, 0, 1], 0.5).polygon


def test_frames_are_orthonormal_and_uniform() -> None:
    frames = np.stack([random_frame(3, 3, seed) for seed in range(400)])
    np.testing.assert_allclose(np.swapaxes(frames, 1, 2) @ frames, np.broadcast_to(np.eye(3), frames.shape), atol=1e-12)
    # Entries of uniform rotations have mean 0 and variance 1/3; those of plain QR have a diagonal of one sign.
    assert np.abs(frames.mean(0)).max() < 0.12
    np.testing.assert_allclose((frames**2).mean(0), 1 / 3, atol=0.06)
    assert (random_frame(5, 2, 7) == random_frame(5, 2, np.random.default_rng(7))).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 0], 1, None), sg.ShapeMismatch, "E = 2 has dimension 1 to 2; got 3"),
        (([0, 0], -1, np.eye(2)), sg.InvalidArgument, "positive"),
        (([0, 0], 1, np.eye(3)), sg.ShapeMismatch, "frame must have shape"),
        (([0, 0, 0], 1, np.ones((2, 3))), sg.ShapeMismatch, "transpose"),
        (([0, 0], 1, [[1, 2], [2, 4]]), sg.InvalidArgument, "column 1"),
        (([[0, 0]], 1, np.eye(2)), sg.ShapeMismatch, "1 dimension"),
        (([0, 0], [1, 2], np.eye(2)), sg.ShapeMismatch, "0 dimensions"),
    ],
)
def test_what_is_no_ball(arguments: tuple, error: type[Exception], message: str) -> None:
    center, radius, frame = arguments
    with pytest.raises(error, match=message):
        sg.L1Ball(center, radius, frame, dim=3 if frame is None else None)
    with pytest.raises(sg.ShapeMismatch, match="leave it out"):
        sg.L1Ball([0, 0], 1, np.eye(2), dim=1)
