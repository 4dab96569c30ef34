"""How long the search for near duplicates takes: 590,326 synthetic thumbnails, a fifth of them against the rest.

    python -m tests.bench.alike [COUNT]

Thumbnails are random fields of two coherent bands whose amplitudes fall with the frequency, as those of land do. 1,000
of the judged ones are planted: thumbnails of the rest, flipped, shifted by up to a cell and under noise.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from sar_data.statistics.alike import find_alike
from sar_data.statistics.thumbnail import CELLS, SIDE, Thumbs, quantize_cells

COUNT, PLANTED = 590_326, 1_000
NOISE = 0.3  # of the spread of a thumbnail


def fields(count: int, random: np.random.Generator) -> Thumbs:
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    weight = 1 / np.maximum(frequency, 1 / SIDE)
    out = np.empty((count, 2, CELLS), np.int8)
    for start in range(0, count, 8192):
        white = random.normal(size=(min(8192, count - start), 3, SIDE, SIDE))
        land = np.fft.irfft2(np.fft.rfft2(white) * weight, s=(SIDE, SIDE))
        bands = land[:, :1] + 0.7 * land[:, 1:]
        out[start : start + 8192] = quantize_cells(bands.reshape(-1, CELLS)).reshape(-1, 2, CELLS)
    return out


def changed(thumbs: Thumbs, random: np.random.Generator) -> Thumbs:
    """Return thumbnails shifted by less than a cell along both axes, half of them flipped, under noise."""
    y, x = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)
    shifts = random.uniform(-1, 1, (2, len(thumbs), 1, 1, 1))
    cells = thumbs.reshape(-1, 2, SIDE, SIDE).astype(np.float64)
    turned = np.exp(-2j * np.pi * (y * shifts[0] + x * shifts[1]))
    moved = np.fft.irfft2(np.fft.rfft2(cells) * turned, s=(SIDE, SIDE))
    moved[::2] = moved[::2, :, :, ::-1]
    moved += random.normal(0, NOISE * 32, moved.shape)
    return quantize_cells(moved.reshape(-1, CELLS)).reshape(-1, 2, CELLS)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    random = np.random.default_rng(0)
    every = fields(count, random)
    queries, targets = every[: count // 5], every[count // 5 :]
    sources = random.choice(len(targets), PLANTED, replace=False)
    places = random.choice(len(queries), PLANTED, replace=False)
    queries[places] = changed(targets[sources], random)
    wall, used = time.perf_counter(), time.process_time()
    found = find_alike(queries, targets)
    wall, used = time.perf_counter() - wall, time.process_time() - used
    right = found.partner[places] == sources
    others = np.delete(found.partner, places)
    print(f"{len(queries):,} against {len(targets):,}: {wall:.0f} s, {used:.0f} s of processor")
    print(f"planted {PLANTED}: found {right.sum()}; of the other {len(others):,} alike by chance {(others >= 0).sum()}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
