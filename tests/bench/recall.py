"""How many near duplicates are found, by kind of change, and how many false ones: the figures of docs/leakage.md.

    python -m tests.bench.recall

Each patch of 120 x 120 pixels is looked for, changed, among all patches of its set; and each second patch among the
others, of which none is alike. Sets are a miniature of DFC2020 and, where they are, real Sentinel-1 images: OMBRIA
(8-bit, one band), and patches of Sen1Floods11 and SSL4EO-S12 (dB, two bands) among the miniature's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from sar_data import catalog
from sar_data.statistics.alike import alike
from sar_data.statistics.tally import survey
from sar_data.statistics.thumbnail import Thumbnails, Thumbs
from tests.places import SAMPLES

Image = npt.NDArray[np.float32]
EDGE, SIDE = 8, 120
RANDOM = np.random.default_rng(0)


def thumbs(images: list[Image], unit: str) -> Thumbs:
    made = Thumbnails((unit,) * len(images[0]))
    for image in images:
        made.add(survey(np.ascontiguousarray(image, np.float32)), (SIDE, SIDE))
    return made.finish()


def look(image: Image, looks: float, unit: str) -> Image:
    """Return an image under more speckle, of so many looks."""
    power = RANDOM.gamma(looks, 1 / looks, image.shape)
    return image + 10 * np.log10(power) if unit == "dB" else np.clip(image * np.sqrt(power), 0, 255)


def changes(unit: str) -> dict[str, Callable[[Image], Image]]:
    """Return kind → what it makes of an image with an edge of EDGE pixels around the patch."""

    def patch(image: Image, down: int = 0, right: int = 0) -> Image:
        return image[:, EDGE + down : EDGE + down + SIDE, EDGE + right : EDGE + right + SIDE]

    def gain(image: Image) -> Image:
        return image + 0.5 if unit == "dB" else np.clip(image * 1.06, 0, 255)

    def quantized(image: Image) -> Image:
        return np.round(image * 2) / 2 if unit == "dB" else np.round(image / 16) * 16

    return {
        **{f"shift by {n} pixels along both axes": lambda x, n=n: patch(x, n, -n) for n in (1, 2, 4, 6, 8)},
        "flip": lambda x: patch(x)[:, :, ::-1],
        "half a turn": lambda x: patch(x)[:, ::-1, ::-1],
        "0.5 dB more": lambda x: patch(gain(x)),
        "steps of 0.5 dB, or 16 grey values": lambda x: patch(quantized(x)),
        "more speckle, of 4.4 looks": lambda x: look(patch(x), 4.4, unit),
        "more speckle, of 1 look": lambda x: look(patch(x), 1, unit),
        "shift by 5, flip, gain, speckle of 4.4 looks, steps": lambda x: quantized(
            gain(look(patch(x, 5, -5)[:, :, ::-1], 4.4, unit))
        ),
    }


def read(path: Path) -> Image:
    with rasterio.open(path) as file:
        return np.asarray(file.read(), np.float32)


def tiles(image: Image, side: int) -> Iterator[Image]:
    for y in range(0, image.shape[1] - side + 1, side):
        for x in range(0, image.shape[2] - side + 1, side):
            if np.isfinite(tile := image[:2, y : y + side, x : x + side]).all():
                yield tile


def miniature() -> list[Image]:
    """Return patches of a miniature of DFC2020's tiles, which are larger than a patch and its edge."""
    with tempfile.TemporaryDirectory() as folder:
        catalog.synthesise("dfc2020")(Path(folder), count=150, seed=3)
        files = sorted(path for path in Path(folder).rglob("s1_*/*.tif") if not path.name.startswith("."))
        return [tile for path in files for tile in tiles(read(path), SIDE + 2 * EDGE)][:400]


def real() -> tuple[list[Image], list[Image]]:
    """Return real patches of OMBRIA, and of dB in two bands."""
    before = [*sorted((SAMPLES / "ombria/OmbriaS1").glob("*/BEFORE/*.png"))]
    before += sorted((SAMPLES / "ombria/2021/FRANCE/Sentinel1/BEFORE").glob("*.png"))
    side = SIDE + 2 * EDGE
    grey = [read(path)[:1, 60 : 60 + side, 60 : 60 + side] for path in before]
    flood = read(SAMPLES / "sen1floods11/sample/S1/Spain_7370579_S1Hand.tif")
    seasons = [
        np.concatenate([read(path) for path in sorted(folder.glob("*.tif"))[:2]])
        for folder in sorted((SAMPLES / "ssl4eo-s12-v1.0/s1/0000200").iterdir())
    ]
    return grey, [tile for image in (flood, *seasons[:1]) for tile in tiles(image, side)]


def measure(name: str, images: list[Image], unit: str, distractors: list[Image]) -> None:
    kinds, plain = changes(unit), [image[:, EDGE:-EDGE, EDGE:-EDGE] for image in images]
    targets = thumbs([*plain, *(image[:, EDGE:-EDGE, EDGE:-EDGE] for image in distractors)], unit)
    own = np.arange(len(images))
    half = own % 2 == 0
    false = alike(targets[: len(images)][half], np.delete(targets, own[half], axis=0)).partner >= 0
    print(f"\n{name}: {len(images)} among {len(targets)}; alike without a partner: {false.sum()} of {half.sum()}")
    for kind, change in kinds.items():
        found = alike(thumbs([change(image) for image in images], unit), targets).partner
        wrong = int(((found >= 0) & (found != own)).sum())
        print(f"  {kind}: {100 * np.mean(found == own):.1f} %, another one {wrong}", flush=True)


def main() -> None:
    made = miniature()
    measure("miniature of DFC2020", made, "dB", [])
    if (SAMPLES / "ombria").is_dir():
        grey, decibels = real()
        measure("OMBRIA", grey, "8-bit", [])
        measure("Sen1Floods11 and SSL4EO-S12", decibels, "dB", made)


if __name__ == "__main__":
    main()
