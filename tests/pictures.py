"""Draw the picture of the README: the contact sheet and the report of a miniature, side by side (`make pictures`)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

import sar_data
from sar_data import catalog
from sar_data.views.contact_sheet import contact_sheet
from tests.mini.hang import HANG_S
from tests.places import ROOT

OUT = ROOT / "docs" / "pictures" / "readme.jpg"
SIDE = 700  # pixels of the height of both, and about the width of one
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def draw(out: Path, work: Path) -> None:
    """Build a miniature in `work`, draw its sheet and its report, and write both to `out`; needs Chromium."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"expected one of {', '.join(BROWSERS)} to draw the report, found none")
    catalog.synthesise("bigearthnet-s1")(work / "raw", count=240, seed=1)
    build = sar_data.build("bigearthnet-s1", source=work / "raw", out=work / "builds", workers=1)
    contact_sheet(build, work / "sheet.png", split="train", count=16, seed=0)
    page = sar_data.report(build.path, out=work / "page.html")
    shot = ("--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=900,1000")
    where = f"--screenshot={work / 'page.png'}"
    subprocess.run([browser, *shot, where, page.as_uri()], check=True, capture_output=True, timeout=HANG_S)
    parts = [Image.open(work / name).convert("RGB") for name in ("sheet.png", "page.png")]
    parts = [part.resize((part.width * SIDE // part.height, SIDE), Image.Resampling.LANCZOS) for part in parts]
    whole = Image.new("RGB", (sum(part.width for part in parts) + 20, SIDE), "white")
    whole.paste(parts[0], (0, 0))
    whole.paste(parts[1], (parts[0].width + 20, 0))
    whole.save(out, quality=72, optimize=True, progressive=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        draw(OUT, Path(folder))
