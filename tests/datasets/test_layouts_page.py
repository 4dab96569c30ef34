"""docs/layouts.md has a row for each layout that is tested; `python -m tests.datasets.test_layouts_page` writes it."""

from __future__ import annotations

from sar_data import catalog
from tests.datasets import test_chip_layouts as chips
from tests.datasets import test_ship_layouts as ships
from tests.places import ROOT

PAGE = ROOT / "docs" / "layouts.md"
BEGIN, END = "<!-- layouts: written by tests/datasets/test_layouts_page.py -->\n", "<!-- end of layouts -->\n"
PUBLISHED = "as published"


def covered() -> dict[tuple[str, str], str]:
    """Return (dataset, layout) → what a build says first of it, of every layout that a contract tests."""
    rows = {(one.dataset, one.name): one.found for one in (*ships.LAYOUTS, *chips.LAYOUTS)}
    return rows | {(dataset, name): found for dataset, name, found in chips.OTHERS}


def table() -> str:
    """Return the rows of the page: the published layout of each dataset, then its copies."""
    lines = ["| dataset | layout | files | a build says |", "|---|---|---|---|"]
    said = covered()
    for dataset in catalog.names():
        pipeline = catalog.pipeline(dataset)
        if not pipeline.spec.sources:
            continue
        lines.append(f"| {dataset} | {PUBLISHED} | `sar-data info {dataset} --tree` | |")
        for layout, paths in pipeline.layouts.items():
            found = f"found: {text}" if (text := said[dataset, layout]) else ""
            lines.append(f"| {dataset} | {layout} | {' '.join(f'`{path}`' for path in paths)} | {found} |")
    return "\n".join(lines) + "\n"


def test_every_declared_layout_is_tested_and_every_tested_one_declared() -> None:
    declared = {(name, layout) for name in catalog.names() for layout in catalog.pipeline(name).layouts}
    assert declared == covered().keys()


def test_the_page_has_a_row_for_each_layout() -> None:
    _, _, rest = PAGE.read_text().partition(BEGIN)
    assert rest.partition(END)[0] == table()
    assert len(covered()) >= 40


if __name__ == "__main__":
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(head + BEGIN + table() + END + rest.partition(END)[2])
