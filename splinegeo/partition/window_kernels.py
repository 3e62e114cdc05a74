"""What `windows` does to the entries of windows. Arrays of windows are (n, channels, ., ., .), their starts (n, 3)."""

from __future__ import annotations

import numpy as np

from splinegeo._jit import kernel


@kernel()
def boxes(x, low, high):
    """The box (n, 3) of what is not zero in rows (n, channels, ., ., .); high <= low where all is zero."""
    for i in range(x.shape[0]):
        for d in range(3):
            low[i, d], high[i, d] = x.shape[2 + d], 0
        for c in range(x.shape[1]):
            for p in range(x.shape[2]):
                for q in range(x.shape[3]):
                    first, last = -1, -1
                    for r in range(x.shape[4]):
                        if x[i, c, p, q, r] != 0.0:
                            first = r if first < 0 else first
                            last = r
                    if first >= 0:
                        low[i, 0], high[i, 0] = min(low[i, 0], p), max(high[i, 0], p + 1)
                        low[i, 1], high[i, 1] = min(low[i, 1], q), max(high[i, 1], q + 1)
                        low[i, 2], high[i, 2] = min(low[i, 2], first), max(high[i, 2], last + 1)


@kernel()
def take(data, start, rows, c, p, q, r, out):
    """Into out[rows] the entries at channels c and places (p, q, r) that lie in the windows."""
    for i in range(data.shape[0]):
        for k in range(c.shape[0]):
            x, y, z = p[k] - start[i, 0], q[k] - start[i, 1], r[k] - start[i, 2]
            if 0 <= x < data.shape[2] and 0 <= y < data.shape[3] and 0 <= z < data.shape[4]:
                out[rows[i], k] = data[i, c[k], x, y, z]


@kernel()
def select(data, start, channels, x, y, z, into, out):
    """Into out, windows at ``into``, the entries of the windows at (channels[k], x[p], y[q], z[r])."""
    n, c, a, b, e = out.shape
    for i in range(n):
        for p in range(a):
            u = x[into[i, 0] + p] - start[i, 0]
            if u < 0 or u >= data.shape[2]:
                continue
            for q in range(b):
                v = y[into[i, 1] + q] - start[i, 1]
                if v < 0 or v >= data.shape[3]:
                    continue
                for r in range(e):
                    w = z[into[i, 2] + r] - start[i, 2]
                    if 0 <= w < data.shape[4]:
                        for k in range(c):
                            out[i, k, p, q, r] = data[i, channels[k], u, v, w]


@kernel(inner=True)
def _two_sum(a, b):
    s = a + b
    back = s - a
    return s, (a - (s - back)) + (b - back)


@kernel(inner=True)
def _two_product(a, b):
    p = a * b
    x, y = 134217729.0 * a, 134217729.0 * b  # 2**27 + 1
    a1, b1 = x - (x - a), y - (y - b)
    a2, b2 = a - a1, b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


@kernel()
def multiply(long, data, low, start, factors, out, out_low):
    """Windows times factors; low parts, which are looked at if ``long``."""
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        for k in range(channels):
            for p in range(a):
                for q in range(b):
                    for r in range(c):
                        f = factors[k, s + p, t + q, u + r]
                        if long:
                            x, e = _two_product(data[i, k, p, q, r], f)
                            x, e = _two_sum(x, e + low[i, k, p, q, r] * f)
                            out[i, k, p, q, r], out_low[i, k, p, q, r] = x, e
                        else:
                            out[i, k, p, q, r] = data[i, k, p, q, r] * f


@kernel()
def add(long, data, low, start, factors, rows, into, out, out_low):
    """To out[rows[i]], a window at into[rows[i]], the window i times the factors; nothing where rows[i] < 0.

    Low parts are looked at if ``long``.
    """
    n, channels, a, b, c = data.shape
    for i in range(n):
        j = rows[i]
        if j < 0:
            continue
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        x, y, z = s - into[j, 0], t - into[j, 1], u - into[j, 2]
        for k in range(channels):
            for p in range(a):
                for q in range(b):
                    for r in range(c):
                        f = factors[k, s + p, t + q, u + r]
                        if long:
                            h, e = _two_product(data[i, k, p, q, r], f)
                            v, d = _two_sum(out[j, k, x + p, y + q, z + r], h)
                            d += e + low[i, k, p, q, r] * f + out_low[j, k, x + p, y + q, z + r]
                            v, d = _two_sum(v, d)
                            out[j, k, x + p, y + q, z + r], out_low[j, k, x + p, y + q, z + r] = v, d
                        else:
                            out[j, k, x + p, y + q, z + r] += data[i, k, p, q, r] * f


@kernel()
def whole_numbers(data, low, start, out):
    """Clear out, (channels, ., ., .), where a window has something else than a small whole number; also in ``low``."""
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        for k in range(channels):
            for p in range(a):
                for q in range(b):
                    for r in range(c):
                        x = data[i, k, p, q, r]
                        y = low[i, k, p, q, r]
                        if x != np.rint(x) or y != np.rint(y) or abs(x) >= 1048576.0:
                            out[k, s + p, t + q, u + r] = False


@kernel()
def combine(data, start, weights, absolute, out):
    """Add to out[j] the sum over rows i of weights[i, j] times the window, or its absolute values."""
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        for j in range(weights.shape[1]):
            w = weights[i, j]
            if w != 0.0:
                for k in range(channels):
                    for p in range(a):
                        for q in range(b):
                            for r in range(c):
                                x = data[i, k, p, q, r]
                                out[j, k, s + p, t + q, u + r] += w * (abs(x) if absolute else x)


@kernel()
def place(data, start, rows, out):
    """Windows at ``start`` into rows of ``out``, as far as they lie within."""
    n, channels, a, b, c = data.shape
    for i in range(n):
        s, t, u = start[i, 0], start[i, 1], start[i, 2]
        low, high = max(0, -u), min(c, out.shape[4] - u)
        for k in range(channels):
            for p in range(max(0, -s), min(a, out.shape[2] - s)):
                for q in range(max(0, -t), min(b, out.shape[3] - t)):
                    for r in range(low, high):
                        out[rows[i], k, s + p, t + q, u + r] = data[i, k, p, q, r]
