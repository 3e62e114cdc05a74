"""Local complexity of published networks: exact against estimate, and against the plane's engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import splinegeo as sg
from splinegeo._types import Array
from splinegeo.balls import random_frame

RADII = (1e-4, 1e-3, 3e-3, 1e-2)


def encoded_digits(zoo: Any, n: int) -> Array:
    """Latents (n, 10) of test images of MNIST, padded to 32 x 32 as the VAE's authors did."""
    images, _ = zoo.mnist_test()
    padded = np.pad(images[:n] / 255.0, ((0, 0), (2, 2), (2, 2)))
    with torch.no_grad():
        means = zoo.disvae_encoder("mnist")(torch.from_numpy(padded[:, None]).float()).view(n, 10, 2)[:, :, 0]
    return means.double().numpy()


def test_digits_of_a_vae(zoo: Any) -> None:
    """11,264 units over encoded digits at P = 10: the three forms are ordered, and the small balls are exact."""
    net = zoo.disvae("mnist")
    found = sg.compare.complexity(net, encoded_digits(zoo, 4), RADII, (10,), budget=sg.Budget(regions=1000))
    table = found.table
    assert (table["vertices"] <= table["crossing"]).all()
    assert (table["crossing"] < table["regions"]).all()
    assert table["complete"][table["radius"] <= 1e-3].all()
    means = [table["crossing"][table["radius"] == r].mean() for r in RADII]
    assert (np.diff(means) > 0).all()
    # The module itself, in float32 and on its own forward passes, gives the same estimate but for rounding.
    frame = random_frame(10, 10, 0)
    z = encoded_digits(zoo, 4)
    ours = sg.local_complexity(sg.capture(net, (10,)), z, 1e-2, frame=frame, kind="vertices")
    theirs = sg.local_complexity(net, z, 1e-2, frame=frame, kind="vertices")
    assert np.abs(ours.values - theirs.values).max() <= 1


def test_a_ball_in_a_plane_through_a_vae(zoo: Any) -> None:
    net = sg.capture(zoo.disvae("mnist"), (10,))
    ball = sg.L1Ball(encoded_digits(zoo, 1)[0], 0.02, dim=2)
    part = sg.partition(net, ball.polygon, ball.slice, threads=1)
    assert part.complete
    assert int(sg.local_complexity(net, ball.center, ball.radius, frame=ball.frame)) == part.n_regions


def test_a_ball_of_a_vae_as_a_partition(zoo: Any) -> None:
    """All ten dimensions of the latent space: regions, their maps, and who is whose neighbour."""
    net = sg.capture(zoo.disvae("mnist"), (10,))
    ball = sg.L1Ball(encoded_digits(zoo, 1)[0], 0.004)
    part = sg.partition(net, ball, threads=1)
    assert part.complete
    assert len(part) == int(sg.local_complexity(net, ball)) > 10
    assert (part.locate(part.points) == np.arange(len(part))).all()
    assert part.n_linear_regions == len(part)
    a, b = part.affine_maps([0])
    z = ball.embed(part.points[0])
    assert np.abs(a[0] @ part.points[0] + b[0] - net(z)).max() < 1e-12
    # Two regions on either side of a facet agree on it, so their maps differ by a matrix of rank one.
    p, q = part.adjacency[0]
    (first, second), _ = part.affine_maps([p, q])
    sigma = np.linalg.svd(first - second, compute_uv=False)
    assert sigma[1] < 1e-9 * sigma[0]


def test_a_published_classifier_in_its_input_space(zoo: Any) -> None:
    """P = 50 directions of the 784 pixels of a convolutional classifier."""
    net = zoo.mnist_conv_small()
    images, _ = zoo.mnist_test()
    x = (images[:2] / 255.0 - 0.1307) / 0.3081
    common: dict[str, Any] = {"dim": 50, "input_shape": (1, 28, 28), "threads": 1}
    crossing = sg.local_complexity(net, x[:, None], 0.02, kind="crossing", **common)
    vertices = sg.local_complexity(net, x[:, None], 0.02, kind="vertices", **common)
    regions = sg.local_complexity(net, x[:, None], 0.02, budget=sg.Budget(regions=2000), **common)
    assert crossing.complete.all()
    assert (vertices.values <= crossing.values).all()
    assert (regions.values > crossing.values).all() or not regions.complete.all()
