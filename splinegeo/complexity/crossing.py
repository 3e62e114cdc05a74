"""Which units change sign in a ball, exactly.

Points settle most of it: a unit that is certainly positive at one and certainly negative at another crosses. The rest
is looked for cell by cell, only as deep as units are left of which one sign has not been seen, and what is not found in
any cell is not there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splinegeo.lp.places import EPS
from splinegeo.lp.walk import Cells

POINTS = 128  # random ones, beside the vertices


def probe(ball: Cells, rng: np.random.Generator) -> None:
    """Note the signs of all live hinges at the ball's vertices and at random points, where they are certain."""
    live, d = ball.live, ball.live.dim
    if not live.n:
        return
    corners = np.concatenate([np.eye(d), -np.eye(d)])
    scattered = rng.exponential(size=(POINTS, d)) * rng.choice([-1.0, 1.0], (POINTS, d))
    scattered /= np.abs(scattered).sum(1, keepdims=True)
    points = np.concatenate([np.zeros((1, d)), corners, scattered, scattered / 2]) * (1 - 2.0**-40)
    values, errors = np.zeros((len(points), live.n)), np.zeros((len(points), live.n))
    for a, b in zip(live.levels[:-1], live.levels[1:], strict=True):
        hinges, constant = live.hinges[a:b, :a], live.constant[a:b]
        z = points @ constant[:, :d].T + constant[:, d] + values[:, :a] @ hinges.T
        size = np.abs(constant[:, :d]).max(1) + np.abs(constant[:, d]) + np.abs(values[:, :a]) @ np.abs(hinges).T
        doubt = live.error[a:b] + (d + a + 8) * EPS * size + errors[:, :a] @ np.abs(hinges).T + 1e-300
        doubt *= 1 + (2 * a + 8) * EPS
        ball.seen[a:b, 1] |= (z > doubt).any(0)
        ball.seen[a:b, 0] |= (z < -doubt).any(0)
        slope = live.slopes[a:b]
        values[:, a:b] = np.where(z > 0, slope[:, 1], slope[:, 0]) * z
        errors[:, a:b] = np.abs(slope).max(1) * doubt + EPS * np.abs(values[:, a:b])


def find_crossing(ball: Cells, stop: Callable[[int], bool]) -> bool:
    """See every sign that a live hinge takes in the open ball; False if ``stop(cells so far)`` came first.

    Afterwards, or as far as it got, ``ball.seen`` says which signs were seen.
    """
    live = ball.live
    stack, done = [ball.start()], 0
    while stack:
        undecided = np.nonzero(~ball.seen.all(1))[0]
        if not len(undecided):
            return True
        deepest = live.levels[np.searchsorted(live.levels, undecided[-1], "right") - 1]
        batch = stack.pop()
        done += len(batch)
        if batch.k > undecided[-1]:
            continue
        if batch.k >= deepest:
            batch = ball.with_rows(batch)
            for k in undecided[undecided >= batch.k]:
                ball.look(batch, int(k))
        else:
            stack += ball.pieces(ball.split(batch))
        if stack and stop(done):
            return False
    return True
