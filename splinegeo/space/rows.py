"""The affine functions of a level's hinges on the current cell, with bounds on their errors.

They follow from those of the levels below and the pattern: afresh, or by a change for each hinge that has changed sides
since, whichever costs less.
"""

from __future__ import annotations

from splinegeo._jit import kernel
from splinegeo.space.memory import length, view
from splinegeo.space.state import DIM

EPS = 2.0**-53
MOST_UPDATES = 16  # changes after which rows are made afresh: they add to the error
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
def _roundings(t, level):
    """What rounding may do to a sum of terms, relative to the sum of their sizes: see Higham, section 3.1.

    The terms are the constant, one for each input, and one for each update.
    """
    blocks = view(t, "block_start")
    if blocks[level] == blocks[level + 1]:
        return 0.0
    return (view(t, "inputs")[level] + MOST_UPDATES + 8) * EPS


@kernel(inner=True)
def _afresh(t, level):
    offsets, blocks, sources = view(t, "offsets"), view(t, "block_start"), view(t, "block_source")
    seen_start, seen, bits, slopes = view(t, "block_seen"), view(t, "seen"), view(t, "bits"), view(t, "slopes")
    rows, constant, drift = view(t, "rows"), view(t, "constant"), view(t, "drift")
    d, hinges = view(t, "scalars")[DIM], length(t, "drift")
    rounding = _roundings(t, level)
    for i in range(offsets[level], offsets[level + 1]):
        top = 0.0
        for c in range(d + 1):
            rows[c * hinges + i] = constant[c * hinges + i]
            top = max(top, abs(constant[c * hinges + i]))
        drift[i] = rounding * top
    for b in range(blocks[level], blocks[level + 1]):
        k = sources[b]
        for j in range(offsets[k], offsets[k + 1]):
            seen[seen_start[b] + j - offsets[k]] = bits[j]
            slope = slopes[j, bits[j]]
            if slope != 0.0:
                _add(t, level, b, j, slope)


@kernel(inner=True)
def _add(t, level, block, source, factor):
    """Add ``factor`` times what a level takes of one hinge, and to the rows' errors what that brings."""
    offsets, drift = view(t, "offsets"), view(t, "drift")
    rows, weights = view(t, "rows"), view(t, "weights")
    d, hinges = view(t, "scalars")[DIM], length(t, "drift")
    lo, n = offsets[level], offsets[level + 1] - offsets[level]
    start = view(t, "block_offset")[block] + (source - offsets[view(t, "block_source")[block]]) * n
    for c in range(d + 1):
        f = factor * rows[c * hinges + source]
        at = c * hinges + lo
        for i in range(n):
            rows[at + i] += weights[start + i] * f
    e = view(t, "row_error")[source] + _roundings(t, level) * view(t, "row_size")[source]
    e *= abs(factor)
    for i in range(n):
        drift[lo + i] += abs(weights[start + i]) * e


@kernel(inner=True)
def _bound(t, level):
    """Bounds on the errors of the rows, and of the values that they give at a vertex of the frame's unit cube."""
    offsets, blocks, sources = view(t, "offsets"), view(t, "block_start"), view(t, "block_source")
    rows, drift, slack, steep = view(t, "rows"), view(t, "drift"), view(t, "slack"), view(t, "steep")
    biggest, error, size = view(t, "biggest"), view(t, "row_error"), view(t, "row_size")
    tilt, noise = view(t, "tilt"), view(t, "noise")
    d, hinges = view(t, "scalars")[DIM], length(t, "drift")
    reach = 1.0
    for b in range(blocks[level], blocks[level + 1]):
        reach = max(reach, biggest[sources[b]])
    largest = 0.0
    for i in range(offsets[level], offsets[level + 1]):
        e = 1.01 * (drift[i] + slack[i] * reach)
        if blocks[level + 1] > blocks[level]:
            e += TINY
        norm, top = 0.0, abs(rows[d * hinges + i])
        for c in range(d):
            norm += abs(rows[c * hinges + i])
            top = max(top, abs(rows[c * hinges + i]))
        error[i], size[i] = e, top
        # Coordinates of vertices are at most 1 in size, give or take their errors: 1.01 covers that, too.
        tilt[i] = 1.01 * (norm + d * e)
        noise[i] = 1.01 * ((d + 1) * e + (d + 3) * EPS * (norm + abs(rows[d * hinges + i]))) + TINY
        largest = max(largest, steep[i] * top)
    biggest[level] = 1.01 * largest
