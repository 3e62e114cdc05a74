"""A partition as a string of SVG, for notebooks; no Matplotlib."""

from __future__ import annotations

import numpy as np

from splinegeo._types import Array

# viridis at 32 places, six hexadecimal digits each (Smith, van der Walt and Firing, CC0)
_VIRIDIS = (
    "440154470d6048186a482374472e7c4538824241863e4a89"
    "3a548c365d8d32658e2e6d8e2b758e287d8e25848e228c8d"
    "1f948c1e9c8920a38625ab822eb37c3aba7648c16e58c765"
    "6ccd5a7fd34e93d741a8db34c0df25d5e21aeae51afde725"
)
_NO_VALUE = "#c8c8c8"


def partition_svg(
    vertices: Array,
    region_offsets: Array,
    corner_vertices: Array,
    outline: Array,
    values: Array | None = None,
    *,
    volumes: Array | None = None,
    size: int = 360,
    max_regions: int = 2000,
) -> str:
    """SVG of the regions, ``size`` pixels on the longer side, coloured by ``values`` (N,) on viridis.

    The arrays are those of a `Partition`, ``outline`` (k, 2) the domain's vertices. The colours span the 1st to the
    99th percentile of the values. Above ``max_regions`` only the largest are drawn (by ``volumes`` (N,), or else by the
    area of the polygons), on grey, and a line below says so: a notebook must not choke on a `repr`.
    """
    n = len(region_offsets) - 1
    low, high = outline.min(0), outline.max(0)
    scale = size / max(float((high - low).max()), 1e-290)  # a subnormal extent would overflow the scale
    width, height = (high - low) * scale

    def path(points: Array) -> str:
        x, y = (points[:, 0] - low[0]) * scale, (high[1] - points[:, 1]) * scale
        return " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))

    drawn = np.arange(n)
    if n > max_regions:
        if volumes is None:
            volumes = _areas(vertices[corner_vertices], region_offsets)
        drawn = np.sort(np.argsort(-volumes, kind="stable")[:max_regions])
    colors = _colors(values, n)
    stroke = min(0.8, 0.035 * size / np.sqrt(max(n, 1)))
    note = f"{max_regions:,} largest of {n:,} regions" if n > max_regions else ""
    total = height + (18 if note else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2:.0f}" height="{total + 2:.0f}" '
        f'viewBox="-1 -1 {width + 2:.2f} {total + 2:.2f}" role="img">',
        f"<title>Partition with {n:,} regions</title>",
        f'<polygon points="{path(outline)}" fill="{_NO_VALUE}"/>',
        f'<g stroke="#000" stroke-opacity="0.75" stroke-width="{stroke:.2f}" stroke-linejoin="bevel">',
    ]
    for k in drawn.tolist():
        corners = corner_vertices[region_offsets[k] : region_offsets[k + 1]]
        lines.append(f'<polygon points="{path(vertices[corners])}" fill="{colors[k]}"/>')
    lines.append("</g>")
    lines.append(f'<polygon points="{path(outline)}" fill="none" stroke="#000"/>')
    if note:
        lines.append(f'<text x="0" y="{height + 14:.0f}" font-family="sans-serif" font-size="12">{note}</text>')
    lines.append("</svg>")
    return "\n".join(lines)


def _areas(points: Array, offsets: Array) -> Array:
    following = np.arange(1, len(points) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    origin = np.repeat(points[offsets[:-1]], np.diff(offsets), axis=0)
    a, b = points - origin, points[following] - origin
    return 0.5 * np.add.reduceat(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], offsets[:-1])


def _colors(values: Array | None, n: int) -> list[str]:
    if values is None:
        return ["#dbe7f1"] * n
    finite = np.isfinite(values)
    if not finite.any():
        return [_NO_VALUE] * n
    low, high = np.quantile(values[finite], [0.01, 0.99])
    span = high - low if high > low else 1.0
    position = np.clip((np.where(finite, values, low) - low) / span, 0, 1)
    index = np.rint(position * 31).astype(int)
    table = [f"#{_VIRIDIS[6 * i : 6 * i + 6]}" for i in range(32)]
    return [table[i] if ok else _NO_VALUE for i, ok in zip(index.tolist(), finite.tolist(), strict=True)]
