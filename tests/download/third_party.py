"""Datasets of a third party, registered as any package may: their sources lie on a server that a test runs."""

from __future__ import annotations

import os
from pathlib import Path

from tests.places import ROOT

MODULE = '''"""{title}."""

from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task
from sar_data.split.random import Random

PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="{name}", version="1.0", revision=1, title="{title}", evidence="documents-only",
        bands=(Band(name="VV", polarization="VV", unit="dB", description="sigma0 VV"),),
        shape=(8, 8), dtype="float32", pixel_size_m=10.0,
        tasks=(Task(name="kind", kind="multiclass", classes=("a", "b")),),
        sources=({sources}), lists=(), licence="{licence}", citation="A. Author 2026",
    ),
    units=lambda tree: (), scan=lambda tree, unit: (), read=lambda tree, record: None,
    splits={{"random": Random()}},
)
'''


def register(home: Path, name: str, sources: str, licence: str = "MIT") -> dict[str, str]:
    """Write a package with one dataset; return the environment in which it is found beside the house's own."""
    package, info = home / "third_party_sets", home / "third_party_sets-1.0.dist-info"
    for folder in (package, info):
        folder.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    text = MODULE.format(name=name, title=name.title(), sources=sources, licence=licence)
    (package / f"{name.replace('-', '_')}.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-sets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sar_data.pipelines]\nthird-party = third_party_sets\n")
    here = str(ROOT)
    quiet = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**quiet, "PYTHONPATH": os.pathsep.join([here, str(home)]), "HOME": str(home / "home")}
