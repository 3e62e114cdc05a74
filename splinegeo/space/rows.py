"""The affine functions of a level's hinges on the current cell, with bounds on their errors.

They follow from those of the levels below and the pattern: afresh, or by a change for each hinge that has changed sides
since, whichever costs less.
"""

from __future__ import annotations

from splinegeo._jit import kernel
from splinegeo.space.memory import view
from splinegeo.space.state import DIM

EPS = 2.0**-53
MOST_UPDATES = 64  # changes after which rows are made afresh: they add to the error
TINY = 1e-300  # far above what underflow can lose


@kernel(inner=True)
def sync(t, level):
    """Bring the rows of a level up to date with the pattern of the levels below."""
    offsets, blocks, sources = view(t, "offsets"), view(t, "block_start"), view(t, "block_source")
    seen_start, seen, bits = view(t, "block_seen"), view(t, "seen"), view(t, "bits")
    stamp, version, updates = view(t, "stamp"), view(t, "version"), view(t, "updates")
    total = 0
    changed = 0
    for b in range(blocks[level], blocks[level + 1]):
        k = sources[b]
        total += version[k]
        for j in range(offsets[k], offsets[k + 1]):
            if seen[seen_start[b] + j - offsets[k]] != bits[j]:
                changed += 1
    known = stamp[level] == total
    if known and changed == 0:
        return
    if not known or 2 * changed > view(t, "inputs")[level] or updates[level] + changed > MOST_UPDATES:
        _afresh(t, level)
        updates[level] = 0
    else:
        for b in range(blocks[level], blocks[level + 1]):
            k = sources[b]
            for j in range(offsets[k], offsets[k + 1]):
                place = seen_start[b] + j - offsets[k]
                if seen[place] != bits[j]:
                    slopes = view(t, "slopes")
                    _add(t, level, b, j, slopes[j, bits[j]] - slopes[j, seen[place]])
                    seen[place] = bits[j]
        updates[level] += changed
    stamp[level] = total
    version[level] += 1
    _bound(t, level)


@kernel(inner=True)
def _afresh(t, level):
    offsets, blocks, sources = view(t, "offsets"), view(t, "block_start"), view(t, "block_source")
    seen_start, seen, bits, slopes = view(t, "block_seen"), view(t, "seen"), view(t, "bits"), view(t, "slopes")
    rows, constant = view(t, "rows"), view(t, "constant")
    d, hinges = view(t, "scalars")[DIM], view(t, "rho").shape[0]
    for c in range(d + 1):
        for i in range(offsets[level], offsets[level + 1]):
            rows[c * hinges + i] = constant[c * hinges + i]
    for b in range(blocks[level], blocks[level + 1]):
        k = sources[b]
        for j in range(offsets[k], offsets[k + 1]):
            seen[seen_start[b] + j - offsets[k]] = bits[j]
            slope = slopes[j, bits[j]]
            if slope != 0.0:
                _add(t, level, b, j, slope)


@kernel(inner=True)
def _add(t, level, block, source, factor):
    """Add ``factor`` times what a level takes of one hinge."""
    offsets = view(t, "offsets")
    rows, weights = view(t, "rows"), view(t, "weights")
    d, hinges = view(t, "scalars")[DIM], view(t, "rho").shape[0]
    lo, n = offsets[level], offsets[level + 1] - offsets[level]
    start = view(t, "block_offset")[block] + (source - offsets[view(t, "block_source")[block]]) * n
    for c in range(d + 1):
        f = factor * rows[c * hinges + source]
        at = c * hinges + lo
        for i in range(n):
            rows[at + i] += weights[start + i] * f


@kernel(inner=True)
def _bound(t, level):
    """Bounds on the errors of the rows, and of the values that they give at a vertex of the frame's unit cube."""
    offsets, blocks, sources = view(t, "offsets"), view(t, "block_start"), view(t, "block_source")
    rows, rho, slack, steep = view(t, "rows"), view(t, "rho"), view(t, "slack"), view(t, "steep")
    biggest, reach, updates, inputs = view(t, "biggest"), view(t, "reach"), view(t, "updates"), view(t, "inputs")
    error, tilt, noise = view(t, "row_error"), view(t, "tilt"), view(t, "noise")
    d, hinges = view(t, "scalars")[DIM], rho.shape[0]
    size, inherited = 1.0, 0.0
    for b in range(blocks[level], blocks[level + 1]):
        size = max(size, biggest[sources[b]])
        inherited = max(inherited, reach[sources[b]])
    rounding = 0.0
    if blocks[level + 1] > blocks[level]:
        # The constants, a product and a sum for each input, and for each update again: see Higham, section 3.1.
        rounding = (inputs[level] + 8 + 4 * updates[level]) * EPS * size
    largest, worst = 0.0, 0.0
    for i in range(offsets[level], offsets[level + 1]):
        e = slack[i] * size
        if rounding > 0.0:
            e = 1.01 * (e + rho[i] * (inherited + rounding)) + TINY
        error[i] = e
        norm, top = 0.0, abs(rows[d * hinges + i])
        for c in range(d):
            norm += abs(rows[c * hinges + i])
            top = max(top, abs(rows[c * hinges + i]))
        # Coordinates of vertices are at most 1 in size, give or take their errors: 1.01 covers that, too.
        tilt[i] = 1.01 * (norm + d * e)
        noise[i] = 1.01 * ((d + 1) * e + (d + 3) * EPS * (norm + abs(rows[d * hinges + i]))) + TINY
        largest = max(largest, steep[i] * top)
        worst = max(worst, steep[i] * e)
    biggest[level], reach[level] = 1.01 * largest, 1.01 * worst
