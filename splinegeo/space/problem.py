"""A network over a polytope in a slice, prepared for the walk in d dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splinegeo._errors import UnsupportedOperation
from splinegeo._types import Array
from splinegeo.networks.graph import Knot, Maximum, SplineNetwork
from splinegeo.partition.exact import ExactNetwork
from splinegeo.partition.judge import Layout
from splinegeo.partition.link import network_bits
from splinegeo.partition.lowering import lower
from splinegeo.partition.normal_form import Level, hinge_levels
from splinegeo.partition.plan import hashes, scale_rows, twins
from splinegeo.partition.unite import decisive_patterns
from splinegeo.space.folding import folded_levels
from splinegeo.space.outline import Hull
from splinegeo.space.state import EMPTY

LARGE = 2048  # breakpoints above which a network is reduced before it is walked
LARGEST_WEIGHTS = 1 << 28  # entries of the dense rows of all levels: 2 GB
SPLITS, SPLITS_SMALL, SMALL = 6, 3, 64  # first splits that make tasks; the last in hinges


@dataclass(frozen=True, eq=False)
class Problem:
    """What all threads share; nothing in it changes."""

    network: SplineNetwork
    hull: Hull
    exact: ExactNetwork  # of the network without maxima
    layout: Layout
    plan: dict[str, Array]
    words: int  # of a tight set to begin with
    hinges: Array  # (H,) breakpoint of the network for each hinge
    above: Array  # breakpoints of the network that are above everywhere
    zeros_only: bool  # leave out regions on which the last hinge does not vanish

    @classmethod
    def of(
        cls, network: SplineNetwork, origin: Array, basis: Array, hull: Hull, *, zeros_only: bool = False
    ) -> Problem:
        """Prepare a network; z = origin + basis @ u.

        Raises:
            UnsupportedOperation: the network's levels are too large to be kept as dense rows.
        """
        lowered = lower(network, origin, basis)
        exact = ExactNetwork(lowered.network, origin, basis, hull.frame)
        above = np.zeros(0, np.int64)
        # A zero set is of the last hinge, which must not be folded away.
        if lowered.network.n_breakpoints > LARGE and not zeros_only:
            levels, places, above = folded_levels(lowered.network, origin, basis, hull)
        else:
            _check_size(lowered.network)
            levels, places = hinge_levels(lowered.network, exact.affine_prefix())
        scale_rows(levels)
        plan = {**_rows(levels), **_start(hull)}
        hinges = np.concatenate([lv.breakpoints for lv in levels[:-1]] or [np.zeros(0, np.int64)])
        layout = Layout(exact, places, plan["offsets"], None, above)
        words = len(plan["start_slots"]) // 64
        above = np.concatenate([lowered.active, lowered.breakpoints[above]])
        return cls(network, hull, exact, layout, plan, words, lowered.breakpoints[hinges], above, zeros_only)

    @cached_property
    def has_maxima(self) -> bool:
        """Whether the walk finds pieces of regions, which `unite` joins."""
        return any(isinstance(node, Maximum) for node in self.network.nodes)

    @property
    def splits(self) -> int:
        """Depth at which the search tree is cut into tasks."""
        if not len(self.hinges):
            return 0
        return SPLITS_SMALL if len(self.hinges) <= SMALL else SPLITS

    def patterns(self, bits: Array) -> Array:
        """Packed patterns (N, ceil(B / 8)) over the network's breakpoints from those over the hinges."""
        packed = network_bits(bits, self.hinges, self.network.n_breakpoints)
        packed = packed | self._above if len(self.above) else packed
        return decisive_patterns(self.network, packed) if self.has_maxima else packed

    @cached_property
    def _above(self) -> Array:
        """(ceil(B / 8),) packed activations of what is above everywhere."""
        bits = np.zeros(self.network.n_breakpoints, np.uint8)
        bits[self.above] = 1
        return np.packbits(bits, bitorder="little")


def _check_size(network: SplineNetwork) -> None:
    """Refuse levels of which one reads another through too many weights. Levels as in `hinge_levels`."""
    depth: list[int] = []  # knots before the values of a node
    reads: list[set[int]] = []  # the levels that they take something of, without a knot in between
    size: dict[int, int] = {}
    blocks: set[tuple[int, int]] = set()
    for node in network.nodes:
        depth.append(max((depth[k] for k in node.inputs), default=0))
        reads.append(set().union(*(reads[k] for k in node.inputs)))
        if isinstance(node, Knot):
            level = depth[-1]
            blocks |= {(level, source) for source in reads[-1]}
            size[level] = size.get(level, 0) + node.size * node.breakpoints_per_unit
            depth[-1], reads[-1] = level + 1, {level}
    entries = sum(size[level] * size[source] for level, source in blocks)
    if entries > LARGEST_WEIGHTS:
        raise UnsupportedOperation(
            f"partition: the network has layers of up to {max(size.values()):,} breakpoints; outside the plane they "
            f"are kept as dense matrices, here of {8 * entries / 2**30:,.0f} GiB. Partition 2-dimensional slices of "
            f"it instead."
        )


def _rows(levels: list[Level]) -> dict[str, Array]:
    hidden = levels[:-1]
    offsets = np.r_[0, np.cumsum([lv.n for lv in levels])].astype(np.int64)
    n = int(offsets[-2])
    starts, sources, places, seen, flat = [0], [], [], [0], [np.zeros(0)]
    for lv in hidden:
        for k, block in sorted(lv.blocks.items()):
            sources.append(k)
            places.append(sum(map(len, flat)))
            seen.append(seen[-1] + block.shape[1])
            flat.append(np.ascontiguousarray(block.T).ravel())
        starts.append(len(sources))
    columns = levels[0].constant.shape[1]
    constant = np.concatenate([lv.constant for lv in hidden] or [np.zeros((0, columns))])
    slopes = np.concatenate([lv.slopes for lv in hidden] or [np.zeros((0, 2))])
    bit, zero = hashes(np.concatenate([lv.breakpoints for lv in hidden] or [np.zeros(0, np.int64)]))
    twin, sign = twins(levels, offsets)
    order = np.argsort(twin, kind="stable")  # a class is named after its first hinge, which therefore leads it
    side, together = np.zeros((n, 2), np.uint64), np.zeros(n, np.uint64)
    np.bitwise_xor.at(side, (twin, (sign > 0).astype(np.int64)), bit)
    np.bitwise_xor.at(together, twin, zero)

    def joined(name: str) -> Array:
        return np.concatenate([getattr(lv, name) for lv in hidden] or [np.zeros(0)])

    return {
        "offsets": offsets,
        "constant": np.ascontiguousarray(constant.T).ravel(),
        "block_start": np.array(starts, np.int64),
        "block_source": np.array(sources, np.int64),
        "block_offset": np.array(places, np.int64),
        "block_seen": np.array(seen, np.int64),
        "weights": np.concatenate(flat),
        "inputs": np.array([sum(g.shape[1] for g in lv.blocks.values()) for lv in hidden], np.int64),
        "slopes": slopes,
        "steep": np.abs(slopes).max(1, initial=0.0),
        "slack": joined("slack") * 1.01,
        "twin": twin,
        "twin_start": np.r_[0, np.cumsum(np.bincount(twin, minlength=n))].astype(np.int64),
        "twin_index": order,
        "twin_sign": sign[order],
        "hash_side": side,
        "hash_zero": together,
    }


def _start(hull: Hull) -> dict[str, Array]:
    """The domain as a cell. Its facets take the first slots; what they are hashed by no breakpoint is."""
    near, error = hull.start()
    n_facets = len(hull.facets)
    words = n_facets // 64 + 1  # one slot at least is free
    tight = np.zeros((len(near), 64 * words), np.uint8)
    tight[:, :n_facets] = hull.tight
    slots = np.full(64 * words, EMPTY, np.int64)
    slots[:n_facets] = -1 - np.arange(n_facets)
    return {
        "start_x": near.ravel(),
        "start_error": error,
        "start_tight": np.packbits(tight, axis=1, bitorder="little").view(np.uint64).ravel(),
        "start_slots": slots,
        "facet_rows": hull.rows().ravel(),
        "hash_domain": hashes((1 << 40) + np.arange(n_facets))[1],
    }
