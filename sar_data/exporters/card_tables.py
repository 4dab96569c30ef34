"""What the cards of all exports begin with: the title, the samples of each split, the bands with train's statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sar_data.exporters.source import Source
from sar_data.text import markdown


def title_and_tables(source: Source, split_names: Mapping[str, str]) -> Iterator[str]:
    """Yield lines of Markdown; `split_names` has what the target calls a split, where it has another name."""
    manifest, figures = source.manifest, source.manifest.normalization
    yield from (f"# {markdown(manifest.title)}", "", "| split | samples |", "|---|---|")
    for split in source.splits:
        yield f"| {split_names.get(split, split)} | {manifest.splits[split].count:,} |"
    yield from ("", "| band | unit | calibration | mean of train | std of train |", "|---|---|---|---|---|")
    for band in manifest.bands:
        mean, std = figures.digits(band.name) if figures and band.name in figures.mean else ("", "")
        yield f"| {markdown(band.name)} | {band.unit} | {band.calibration} | {mean} | {std} |"
