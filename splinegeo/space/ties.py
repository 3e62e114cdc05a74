"""Zeros by structure: what vanishes at a vertex because of which hinges vanish there, whatever the weights.

Behind a rectifier units that are off tie, on whole cells, and so do the winners of their maxima. Where a row is nothing
but a sum of other hinges, exactly, it is traced back to hinges that have a constant of their own, the *atoms*. It
vanishes where no atom is left, those aside that are off or on whose kink the vertex lies. It also vanishes if what is
left is a combination of such sums that are tight at the vertex: where the entries i and j tie, and j and k do, i ties
with k. No error bound can say so, and it is a proof as long as no product or sum is rounded, which is checked.
"""

from __future__ import annotations

from math import floor

import numpy as np

from splinegeo._jit import kernel
from splinegeo.space.memory import length, trailing_zeros, view
from splinegeo.space.state import DIM, MOST_TIES, WORDS

GRID = 2.0**12  # factors are multiples of its inverse and no larger: products of two and sums of a few are exact


@kernel(inner=True)
def _coarse(x):
    """Whether a number has few digits, so that products with another one like it are exact."""
    return abs(x) <= GRID and x * GRID == floor(x * GRID)


@kernel(inner=True)
def _is_sum(t, hinge):
    """Whether a row is exactly a sum of hinges: no constant, no errors in the weights."""
    constant = view(t, "constant")
    d, hinges = view(t, "scalars")[DIM], length(t, "tilt")
    plain = view(t, "slack")[hinge] == 0.0
    for c in range(d + 1):
        plain &= constant[c * hinges + hinge] == 0.0
    return plain


@kernel(inner=True)
def _is_tight(t, at, vertex, hinge):
    """Whether a hinge vanishes at a vertex of the cell whose slots begin at ``at``, as far as its tight set says."""
    tight, slots, words, label = view(t, "tight"), view(t, "slots"), view(t, "scalars")[WORDS], view(t, "twin")[hinge]
    for w in range(words):
        rest = tight[vertex * words + w]
        while rest != 0:
            if slots[at + 64 * w + trailing_zeros(rest)] == label:
                return True
            rest &= rest - np.uint64(1)
    return False


@kernel(inner=True)
def _spread(t, level, hinge, factor, at, vertex, place):
    """Add ``factor`` times what a hinge reads to the atoms from ``place`` on; False where that is not exact.

    What vanishes at the vertex is left out, whatever its weight.
    """
    offsets, blocks, sources = view(t, "offsets"), view(t, "block_start"), view(t, "block_source")
    weights, starts, slopes, bits = view(t, "weights"), view(t, "block_offset"), view(t, "slopes"), view(t, "bits")
    flat, atoms = view(t, "flat"), view(t, "atoms")
    n = offsets[level + 1] - offsets[level]
    for b in range(blocks[level], blocks[level + 1]):
        first = offsets[sources[b]]
        start = starts[b] + hinge - offsets[level]
        for j in range(first, offsets[sources[b] + 1]):
            f, s = weights[start + (j - first) * n], slopes[j, bits[j]]
            if f == 0.0 or s == 0.0 or flat[j] != 0 or _is_tight(t, at, vertex, j):
                continue
            if not (_coarse(f) and _coarse(s) and _coarse(f * s)):
                return False
            total = atoms[place + j] + factor * (f * s)
            if not _coarse(total):
                return False
            atoms[place + j] = total
    return True


@kernel(inner=True)
def _trace(t, level, hinge, at, vertex, place):
    """Trace a hinge back to its atoms, written from ``place`` on.

    Returns how many are left at the vertex, -1 where that cannot be said.
    """
    offsets, atoms = view(t, "offsets"), view(t, "atoms")
    if not _is_sum(t, hinge):
        return -1
    for j in range(offsets[level]):
        atoms[place + j] = 0.0
    if not _spread(t, level, hinge, 1.0, at, vertex, place):
        return -1
    left = 0
    for k in range(level - 1, -1, -1):
        for j in range(offsets[k], offsets[k + 1]):
            factor = atoms[place + j]
            if factor != 0.0 and _is_sum(t, j):
                atoms[place + j] = 0.0
                if not _spread(t, k, j, factor, at, vertex, place):
                    return -1
            elif factor != 0.0:
                left += 1
    return left


@kernel(inner=True)
def _reduced(t, n_atoms, place, ties):
    """Take multiples of the first ``ties`` ties from the atoms at ``place``, so that their pivots are gone.

    Returns the place of an atom that is left, -1 for none, -2 where it is not exact.
    """
    atoms, pivots = view(t, "atoms"), view(t, "pivots")
    hinges = length(t, "tilt")
    for k in range(ties):
        tie, pivot = (1 + k) * hinges, pivots[k]
        if atoms[place + pivot] == 0.0:
            continue
        factor = atoms[place + pivot] / atoms[tie + pivot]
        # Small whole numbers as a rule: else the quotient is not coarse, or not the quotient.
        if not _coarse(factor) or factor * atoms[tie + pivot] != atoms[place + pivot]:
            return -2
        for j in range(n_atoms):
            total = atoms[place + j] - factor * atoms[tie + j]
            if not _coarse(total):
                return -2
            atoms[place + j] = total
    for j in range(n_atoms):
        if atoms[place + j] != 0.0:
            return j
    return -1


@kernel(inner=True)
def _gather_ties(t, level, at, vertex):
    """The sums that are tight at a vertex, in echelon form behind the first atoms; their number."""
    offsets, pivots, atoms = view(t, "offsets"), view(t, "pivots"), view(t, "atoms")
    tight, slots, words = view(t, "tight"), view(t, "slots"), view(t, "scalars")[WORDS]
    hinges, n_atoms, ties = length(t, "tilt"), offsets[level], 0
    for w in range(words):
        rest = tight[vertex * words + w]
        while rest != 0:
            label = slots[at + 64 * w + trailing_zeros(rest)]
            rest &= rest - np.uint64(1)
            if label < offsets[1] or ties == MOST_TIES:
                continue  # a facet of the domain, or a hinge that reads none
            below = 1
            while offsets[below + 1] <= label:
                below += 1
            place = (1 + ties) * hinges
            if _trace(t, below, label, at, vertex, place) <= 0:
                continue
            for j in range(offsets[below], n_atoms):
                atoms[place + j] = 0.0
            pivot = _reduced(t, n_atoms, place, ties)
            if pivot >= 0:
                pivots[ties] = pivot
                ties += 1
    return ties


@kernel(inner=True)
def must_vanish(t, level, hinge, at, vertex, ties):
    """Whether a hinge is zero by structure at a vertex of the current cell, whose slots begin at ``at``.

    ``ties`` is what this returned for another hinge of the level at the same vertex, less than 0 if there was none.

    Returns (whether, ties).
    """
    left = _trace(t, level, hinge, at, vertex, 0)
    if left <= 0:
        return left == 0, ties
    if ties < 0:
        ties = _gather_ties(t, level, at, vertex)
    return ties > 0 and _reduced(t, view(t, "offsets")[level], 0, ties) == -1, ties
