"""Draw docs/pictures anew: `make pictures` all of them, `python -m tests.pictures splits` those that are named.

All are of miniatures and invented images, by the library's own pictures where it has one. The README's needs Chromium.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

import sar_data
from sar_data import catalog
from sar_data.builder.leakage import LeakageRequest, leakage
from sar_data.runners import Serial
from sar_data.sealed.leakage import COLUMNS, WITHIN, card, pair, records_share
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.records import to_table
from sar_data.split.blocks import Blocks
from sar_data.split.group import Group
from sar_data.split.policy import UNUSED, SplitPolicy
from sar_data.split.random import Random
from sar_data.views import pairs
from sar_data.views.contact_sheet import contact_sheet
from sar_data.views.figure import save
from sar_data.views.histograms import COLOURS
from tests.builder import test_leakage
from tests.mini.builds import make
from tests.mini.hang import HANG_S
from tests.places import ROOT
from tests.split import Shelf, lattice

OUT = ROOT / "docs" / "pictures"
SIDE = 700  # pixels of the height of both parts of the README's picture, and about the width of one
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MOST_WIDTH, MOST_BYTES, PALETTE = 880, 60_000, 64  # of a page's picture


def readme(work: Path) -> None:
    """Draw the contact sheet and the report of a miniature, side by side."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"expected one of {', '.join(BROWSERS)} to draw the report, found none")
    build = _built("bigearthnet-s1", work, 240)
    contact_sheet(build, work / "sheet.png", split="train", count=16, seed=0)
    page = sar_data.report(build.path, out=work / "page.html")
    shot = ("--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=900,1000")
    where = f"--screenshot={work / 'page.png'}"
    subprocess.run([browser, *shot, where, page.as_uri()], check=True, capture_output=True, timeout=HANG_S)
    parts = [Image.open(work / name).convert("RGB") for name in ("sheet.png", "page.png")]
    parts = [part.resize((part.width * SIDE // part.height, SIDE), Image.Resampling.LANCZOS) for part in parts]
    _beside(parts).save(OUT / "readme.jpg", quality=66, optimize=True, progressive=True)


TILE, TILES = 9, 4  # patches along a tile, tiles along the map
DRAWN: dict[str, SplitPolicy] = {
    "random": Random(),
    "blocks:size=6,buffer=0": Blocks(size=6, buffer=0),
    "blocks:size=6,buffer=1": Blocks(size=6, buffer=1),
    "group:by=place": Group(by="place"),
    "group:by=place,buffer=1": Group(by="place", buffer=1),
}
DISTANCES = ("touching", "to 1", "to 2", "to 4", "to 8", "more")


def splits(work: Path) -> None:
    """Draw where five splits place a lattice of patches, and how far their test patches are from train."""
    side = TILE * TILES
    records = [
        dataclasses.replace(one, place=f"tile {i // side // TILE} {i % side // TILE}")
        for i, one in enumerate(lattice(side, side))
    ]
    names = ("train", "val", "test", UNUSED)
    colours = [*(COLOURS[name] for name in names[:3]), "0.85"]
    figure = Figure(figsize=(9, 6.4), dpi=110, facecolor="white", layout="constrained")
    figure.suptitle(f"{side} × {side} patches in {TILES**2} tiles, 80/10/10, seed 1", fontsize=10, fontweight="bold")
    grid = figure.subplots(2, 3)
    shares = []
    for axes, (name, policy) in zip(grid.flat, DRAWN.items(), strict=False):
        split = policy.assign(records, seed=1, lists=Shelf()).split
        codes = np.array([names.index(one) for one in split]).reshape(side, side)
        axes.imshow(codes.T, cmap=ListedColormap(colours), vmin=0, vmax=3, origin="lower", extent=(0, side, 0, side))
        table = to_table(records).select(COLUMNS).append_column("split", pa.array(split, pa.string()))
        found = pair(card(table, records_share))
        near = [found[figure_name].value or 0.0 for figure_name in ("touching", *WITHIN)]
        shares.append(np.diff([0.0, *near, 1.0]))
        axes.set_title(f"{name}\n{near[0]:.1%} of test touch train, {(codes == 3).mean():.1%} left out", fontsize=8)
        axes.set(xticks=range(0, side + 1, TILE), yticks=range(0, side + 1, TILE))
        axes.set_xlabel("patches", fontsize=8)
        axes.tick_params(labelsize=7)
    handles = [Patch(color=colour, label=name) for name, colour in zip((*names[:3], "left out"), colours, strict=True)]
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    _distances(grid.flat[-1], np.array(shares))
    save(figure, work / "splits.png")
    _shrink(work / "splits.png")


def _distances(axes: Axes, shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    """Draw a bar a split: its test patches by their distance to the nearest train patch."""
    left = np.zeros(len(shares))
    for i, name in enumerate(DISTANCES):
        axes.barh(list(DRAWN), shares[:, i], left=left, color=str(0.15 + 0.15 * i), label=name)
        left += shares[:, i]
    axes.invert_yaxis()
    axes.set_title("patches between test and the nearest of train", fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of test patches", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.35, -0.16), frameon=False)


def leaking(work: Path) -> None:
    """Draw pairs that leak, planted in invented images: near duplicates and duplicates."""
    build = make(test_leakage.pipeline(), test_leakage.tree(work / "raw"), work / "out", split="declared")
    report = leakage(LeakageRequest(path=build.path), Serial())
    first = {one.kind: one for one in reversed(report.pairs)}
    pairs.draw(report.builds, [first["near_duplicate"], first["duplicate"]], report.title, work / "leakage.png")
    _shrink(work / "leakage.png")


def radiometry(work: Path) -> None:
    """Draw the histograms of a miniature, and a patch of it before and after two speckle filters."""
    build = _built("bigearthnet-s1", work, 240)
    _run("stats", build.path, "--plot", work / "histograms.png")
    _shrink(work / "histograms.png")
    builds = {"as it is": build}
    for name in ("refined-lee:looks=4.4", "lee:looks=4.4"):
        builds[name] = sar_data.convert(build.path, speckle=name, out=work / "filtered", workers=1)
    figure = Figure(figsize=(7.6, 2.7), dpi=110, facecolor="white", layout="constrained")
    for axes, (name, one) in zip(figure.subplots(1, len(builds)), builds.items(), strict=True):
        looks = sar_data.looks(one.path)["VV"].enl
        image = axes.imshow(_first(one), cmap="gray", vmin=-20, vmax=0, interpolation="nearest")
        axes.set_title(f"{name}\n{looks:.1f} looks in all of train", fontsize=8)
        axes.set_axis_off()
    figure.colorbar(image, ax=figure.axes, label="sigma0 VV in dB", shrink=0.8)
    save(figure, work / "speckle.png")
    _shrink(work / "speckle.png")


def _first(build: Build) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return VV of the first patch of train by its key, [y, x]."""
    index = build.index()
    rows = index.filter(np.asarray(index["split"]) == "train").sort_by("key").slice(0, 1)
    with build.reader() as reader:
        image: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = reader.read(places(rows)[0])[0]
    return image


def metrics(work: Path) -> None:
    """Draw what a short training on a miniature of EuroSAT-SAR leaves: confusion and reliability."""
    build = _built("eurosat-sar", work, 300, split="stratified:train=0.6,val=0.1,test=0.3")
    options = ("--model", "resnet18", "--epochs", 12, "--batch-size", 16, "--seed", 0, "--device", "cpu")
    _run("train", "finetune", build.path, *options, "--out", work / "run")
    names = ("confusion-test.png", "reliability-test.png")
    parts = [Image.open(work / "run" / name).convert("RGB") for name in names]
    height = min(part.height for part in parts)
    _beside([part.resize((part.width * height // part.height, height)) for part in parts]).save(work / "metrics.png")
    _shrink(work / "metrics.png")


def _built(dataset: str, work: Path, count: int, split: str | None = None) -> Build:
    catalog.synthesise(dataset)(work / "raw", count=count, seed=1)
    return sar_data.build(dataset, source=work / "raw", out=work / "builds", split=split, workers=1)


def _run(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "sar_data", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def _beside(parts: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (sum(part.width + 20 for part in parts) - 20, max(part.height for part in parts)), "white")
    left = 0
    for part in parts:
        whole.paste(part, (left, 0))
        left += part.width + 20
    return whole


def _shrink(made: Path) -> None:
    """Write a picture to OUT in few colours, no wider than a page, and small."""
    image = Image.open(made).convert("RGB")
    if image.width > MOST_WIDTH:
        image = image.resize((MOST_WIDTH, image.height * MOST_WIDTH // image.width), Image.Resampling.LANCZOS)
    image.quantize(PALETTE, dither=Image.Dither.NONE).save(OUT / made.name, optimize=True)
    if (size := (OUT / made.name).stat().st_size) > MOST_BYTES:
        raise SystemExit(f"{made.name}: expected at most {MOST_BYTES:,} bytes, found {size:,}: draw less of it")


PICTURES = {"readme": readme, "splits": splits, "leakage": leaking, "radiometry": radiometry, "metrics": metrics}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            PICTURES[chosen](Path(folder))
