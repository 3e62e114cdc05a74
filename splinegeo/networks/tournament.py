"""Which of k entries is the largest, as bits: the comparisons of a knockout tournament.

Round by round entries meet in pairs (0, 1), (2, 3), ...; the odd one out passes to the next round, behind the winners.
Comparisons are numbered in the order in which they are played, so the final is the last. The bit of a comparison is 1
if its left side is larger, and the right side is passed on otherwise. Only the comparisons on the way from the winner
to the final matter to the result; the bits of all others are 0 by convention, so that two patterns differ only where
the largest entries do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from splinegeo._errors import InvalidArgument
from splinegeo._types import Array
from splinegeo.networks.nodes import Maximum


@dataclass(frozen=True)
class Schedule:
    """The k - 1 comparisons among k entries, in the order in which they are played.

    A number below k in ``pairs`` is an entry; k + c is the winner of comparison c. Comparison c sends its winner to
    comparison ``parents[c]``, to the left if ``sides[c]`` is 1 and to the right if it is 0; both are -1 for the final.
    """

    pairs: tuple[tuple[int, int], ...]
    parents: tuple[int, ...]
    sides: tuple[int, ...]


@cache
def schedule(k: int) -> Schedule:
    """The tournament of k >= 2 entries.

    >>> schedule(3)
    Schedule(pairs=((0, 1), (3, 2)), parents=(1, -1), sides=(1, -1))

    Raises:
        InvalidArgument: k < 2.
    """
    if k < 2:
        raise InvalidArgument(f"a tournament needs two entries at least; got {k}.")
    pairs: list[tuple[int, int]] = []
    standing = list(range(k))
    while len(standing) > 1:
        winners = []
        for left, right in zip(standing[::2], standing[1::2], strict=False):
            winners.append(k + len(pairs))
            pairs.append((left, right))
        standing = winners + standing[2 * len(winners) :]
    parents, sides = [-1] * (k - 1), [-1] * (k - 1)
    for c, (left, right) in enumerate(pairs):
        for entry, side in ((left, 1), (right, 0)):
            if entry >= k:
                parents[entry - k], sides[entry - k] = c, side
    return Schedule(tuple(pairs), tuple(parents), tuple(sides))


@cache
def seeding(k: int) -> tuple[int, ...]:
    """The k entries in the order in which they win ties: of equal entries the one that stands first here goes through.

    >>> seeding(4)
    (3, 2, 1, 0)
    >>> seeding(3)  # the odd one out is the right side of the final
    (2, 1, 0)
    """
    plan = schedule(k)
    order, waiting = [], [2 * k - 2]
    while waiting:
        place = waiting.pop()
        if place < k:
            order.append(place)
        else:
            waiting += plan.pairs[place - k]  # the right side is looked at first
    return tuple(order)


def contenders(entries: Array) -> Array:
    """(size, k) which entries of tournaments (size, k) of functions, given by number, may win; equal numbers never tie.

    Ties go to the right in every comparison. So it is always the same one of equal entries that goes through where
    they are the largest, and the outcomes of the comparisons on its way do not change if the others stay away.
    """
    order = np.array(seeding(entries.shape[1]))
    seeded = entries[:, order]
    by_number = np.argsort(seeded, axis=1, kind="stable")
    ranked = np.take_along_axis(seeded, by_number, 1)
    first = np.ones(entries.shape, bool)
    first[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    out = np.empty(entries.shape, bool)
    np.put_along_axis(out, order[by_number], first, 1)
    return out


def canonical_bits(node: Maximum, x: Array) -> Array:
    """The pattern bits (n, size, k - 1), uint8, of the units of ``node`` where its input has the values x (n, m)."""
    plan, (size, k) = schedule(node.groups.shape[1]), node.groups.shape
    bits = np.empty((len(x), size, k - 1), np.uint8)
    standing = [x[:, members] for members in node.groups.T]
    for c, (left, right) in enumerate(plan.pairs):
        bits[:, :, c] = standing[left] > standing[right]
        standing.append(np.maximum(standing[left], standing[right]))
        standing[left] = standing[right] = standing[-1]  # what they were is not needed any more
    return bits & decisive(bits)


def decisive(bits: Array) -> Array:
    """Which comparisons (n, size, k - 1) matter, as uint8, under the outcomes ``bits`` of all of them."""
    plan = schedule(bits.shape[2] + 1)
    matters = np.ones_like(bits)
    for c in range(bits.shape[2] - 2, -1, -1):  # from the final down: a winner has to go on to win
        above = plan.parents[c]
        matters[:, :, c] = matters[:, :, above] & (bits[:, :, above] == plan.sides[c])
    return matters


def winners(node: Maximum, bits: Array) -> Array:
    """Which entry of x (n, size) each unit passes on, under canonical bits (n, size, k - 1)."""
    size, k = node.groups.shape
    plan = schedule(k)
    place = np.full(bits.shape[:2], 2 * k - 2)  # the final
    left, right = np.array(plan.pairs).T
    while (inner := place >= k).any():
        c = np.where(inner, place - k, 0)
        won = np.take_along_axis(bits, c[:, :, None], 2)[:, :, 0] == 1
        place = np.where(inner, np.where(won, left[c], right[c]), place)
    return np.take_along_axis(np.broadcast_to(node.groups, (len(bits), size, k)), place[:, :, None], 2)[:, :, 0]
