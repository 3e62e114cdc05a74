"""Cells on which the last hinge cannot vanish, told by bounds: what a search for its zeros may leave out.

On a cell a hinge that crosses stays within a known distance of its chord. Chords put into one another give every later
pre-activation an affine part and a radius around it (Singh et al., "Fast and effective robustness certification",
NeurIPS 2018); that the last one is not zero is read off at the cell's vertices.
"""

from __future__ import annotations

from splinegeo._jit import kernel
from splinegeo.space.memory import length, view
from splinegeo.space.state import BASE, DIM, N_VERTICES

# Far beyond the rounding of any sum of some thousand terms, relative to the sum of their sizes.
ROUNDING = 1e-11


@kernel(inner=True)
def _range(t, coefficients, radius, hinge):
    """The least and the largest value that a function within ``radius`` of an affine one takes on the current cell."""
    scalars, x, error = view(t, "scalars"), view(t, "x"), view(t, "error")
    d, base, hinges = scalars[DIM], scalars[BASE], length(t, "tilt")
    norm = 0.0
    for c in range(d + 1):
        norm += abs(coefficients[c * hinges + hinge])
    low, high = 1e300, -1e300
    for v in range(base, base + scalars[N_VERTICES]):
        z = coefficients[d * hinges + hinge]
        for c in range(d):
            z += coefficients[c * hinges + hinge] * x[v * d + c]
        doubt = norm * (error[v] + ROUNDING)
        low, high = min(low, z - doubt), max(high, z + doubt)
    return low - radius, high + radius


@kernel(inner=True)
def _through(t, source, radius, hinge, chord):
    """Send a function through its hinge: its chord is written, the radius around that is returned."""
    slopes, radii = view(t, "slopes"), view(t, "chord_radius")
    d, hinges = view(t, "scalars")[DIM], length(t, "tilt")
    low, high = _range(t, source, radius, hinge)
    below, above = slopes[hinge, 0], slopes[hinge, 1]
    bend = 0.0
    if low >= 0.0:
        slope = above
    elif high <= 0.0:
        slope = below
    else:
        slope = (above * high - below * low) / (high - low)
        bend = (above - slope) * high
    for c in range(d + 1):
        chord[c * hinges + hinge] = slope * source[c * hinges + hinge]
    chord[d * hinges + hinge] += 0.5 * bend
    radii[hinge] = (abs(slope) * radius + 0.5 * abs(bend)) * (1.0 + ROUNDING)


@kernel(inner=True)
def may_vanish(t, level):
    """Whether the last hinge may be zero somewhere on the current cell, on which ``level`` has just been opened."""
    offsets, blocks, sources = view(t, "offsets"), view(t, "block_start"), view(t, "block_source")
    rows, row_error, constant = view(t, "rows"), view(t, "row_error"), view(t, "constant")
    weights, places, slack = view(t, "weights"), view(t, "block_offset"), view(t, "slack")
    affine, chord, radii = view(t, "relaxed"), view(t, "chord"), view(t, "chord_radius")
    radius = view(t, "values")
    slopes, bits = view(t, "slopes"), view(t, "bits")
    d, hinges = view(t, "scalars")[DIM], length(t, "tilt")
    last = length(t, "offsets") - 3
    for j in range(offsets[level]):
        slope = slopes[j, bits[j]]
        for c in range(d + 1):
            chord[c * hinges + j] = slope * rows[c * hinges + j]
        radii[j] = 1.01 * (d + 1) * abs(slope) * row_error[j]
    for j in range(offsets[level], offsets[level + 1]):
        _through(t, rows, 1.01 * (d + 1) * row_error[j], j, chord)
    for k in range(level + 1, last + 1):
        lo, n = offsets[k], offsets[k + 1] - offsets[k]
        for i in range(n):
            radius[i] = 0.0
        for c in range(d + 1):
            for i in range(n):
                affine[c * hinges + lo + i] = constant[c * hinges + lo + i]
                radius[i] += ROUNDING * abs(constant[c * hinges + lo + i])
        reach = d + 1.0
        for b in range(blocks[k], blocks[k + 1]):
            first = offsets[sources[b]]
            for j in range(first, offsets[sources[b] + 1]):
                start = places[b] + (j - first) * n
                total = 0.0
                for c in range(d + 1):
                    f = chord[c * hinges + j]
                    total += abs(f)
                    at = c * hinges + lo
                    if f != 0.0:
                        for i in range(n):
                            affine[at + i] += weights[start + i] * f
                e = radii[j] + ROUNDING * total
                reach += total + e
                for i in range(n):
                    radius[i] += abs(weights[start + i]) * e
        for i in range(n):
            r = (radius[i] + slack[lo + i] * reach) * (1.0 + ROUNDING)
            if k == last:
                low, high = _range(t, affine, r, lo + i)
                return low <= 0.0 <= high
            _through(t, affine, r, lo + i, chord)
    low, high = _range(t, rows, 1.01 * (d + 1) * row_error[offsets[last]], offsets[last])
    return low <= 0.0 <= high
