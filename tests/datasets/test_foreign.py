"""A pipeline finds nothing in the archive of another dataset, so that a raw folder can be recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from sar_data import catalog
from sar_data.sources.tree import Folder

# Archives that hold what another pipeline reads, too.
SHARED = {
    "hephaestus": {"hephaestus-crops"},  # one generator writes both
    "hephaestus-crops": {"hephaestus"},
    "opensarship-1": {"opensarship-2"},  # told apart by their scenes alone
    "opensarship-2": {"opensarship-1"},
}


@pytest.mark.parametrize("name", catalog.names())
def test_no_other_pipeline_finds_anything_in_it(name: str, tmp_path: Path) -> None:
    catalog.synthesise(name)(tmp_path, count=4, seed=0)
    tree = Folder.at(tmp_path)
    found = {other for other in catalog.names() if next(iter(catalog.pipeline(other).units(tree)), None) is not None}
    assert name in found
    assert found - {name} <= SHARED.get(name, set())
