"""A third party's package is found by its entry point; what is wrong with one is said and breaks nothing else."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from sar_data import catalog
from sar_data.errors import UsageError
from sar_data.sources.tree import Folder
from sar_data.spec import Processing
from tests.places import ROOT

PIPELINE = """
import dataclasses
from pipelines.eurosat_sar import PIPELINE as OTHER
PIPELINE = dataclasses.replace(OTHER, spec=dataclasses.replace(OTHER.spec, name="{name}", aliases=({aliases})))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages with one package of pipelines in it."""
    info = tmp_path / "kiel_sar-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kiel-sar\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sar_data.pipelines]\nkiel = kiel_sar\n")
    (tmp_path / "kiel_sar").mkdir()
    (tmp_path / "kiel_sar/__init__.py").write_text("")
    (tmp_path / "kiel_sar/_tables.py").write_text("")
    (tmp_path / "kiel_sar/quay_sar.py").write_text(PIPELINE.format(name="quay-sar", aliases=""))
    return tmp_path


def sar_data(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys; sys.path.insert(0, {str(site)!r}); from sar_data.cli import main; main({list(words)!r})"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_no_alias_is_ambiguous_or_the_name_of_a_dataset() -> None:
    assert not {alias: names for alias, names in catalog.aliases().items() if len(names) > 1}
    assert not catalog.aliases().keys() & set(catalog.names())


@pytest.mark.parametrize("name", ["bigearthnet-s1", "BigEarthNet_S1", "bigearthnet", "BigEarthNet", "BEN_S1"])
def test_a_dataset_has_many_names_in_any_case_with_hyphens_or_underscores(name: str) -> None:
    assert catalog.resolve(name) == "bigearthnet-s1"
    assert catalog.pipeline(name) is catalog.pipeline("bigearthnet-s1")
    assert catalog.synthesise(name) is catalog.synthesise("bigearthnet-s1")


@pytest.mark.parametrize("name", [name for name in catalog.names() if catalog.pipeline(name).variants])
def test_every_variant_finds_its_files_in_its_miniature(name: str, tmp_path: Path) -> None:
    trees: dict[object, Folder] = {}
    for variant, dataset in catalog.pipeline(name).variants.items():
        make = catalog.synthesise(name, variant)
        if make not in trees:
            make(out := tmp_path / str(len(trees)), count=catalog.MINIATURE, seed=0)
            trees[make] = Folder.at(out)
        assert next(iter(dataset.units(trees[make])), None) is not None


def test_a_wrong_dataset_is_answered_with_the_nearest_name_or_alias() -> None:
    with pytest.raises(UsageError, match=r"unknown dataset 'reben-2'. Did you mean 'reben'\?"):
        catalog.pipeline("reben-2")


def test_an_alias_of_two_datasets_is_refused(site: Path) -> None:
    (site / "kiel_sar/quay_sar.py").write_text(PIPELINE.format(name="quay-sar", aliases="'eurosat',"))
    refused = sar_data(site, "info", "EuroSAT")
    assert refused.returncode == 2
    assert "EuroSAT may be eurosat-sar or quay-sar: say which" in refused.stderr


def test_a_dataset_of_a_package_of_one_s_own_is_listed_and_shown(site: Path) -> None:
    assert "quay-sar" in sar_data(site, "datasets").stdout
    shown = sar_data(site, "info", "quay-sar")
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("value", ["kiel_sar.quay_sar:PIPELINE", "kiel_sar.quay_sar", "kiel_sarr"])
def test_a_wrong_entry_point_is_named_and_the_other_datasets_are_there(site: Path, value: str) -> None:
    (site / "kiel_sar-1.0.dist-info/entry_points.txt").write_text(f"[sar_data.pipelines]\nkiel = {value}\n")
    listed = sar_data(site, "datasets")
    assert listed.returncode == 0
    assert "bigearthnet-s1" in listed.stdout
    assert f"entry point kiel = {value!r}: expected a package" in listed.stderr


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tools.py", "x = 1", "kiel_sar.tools: expected a module with PIPELINE"),
        ("tools.py", "import no_such_module", "kiel_sar.tools: expected a module with PIPELINE"),
        ("tools.py", "PIPELINE = 1", "expected the pipeline of a dataset of that name, found int"),
        ("pier_sar.py", PIPELINE.format(name="quay-sar", aliases=""), "of that name, found quay-sar"),
        ("mstar.py", PIPELINE.format(name="mstar", aliases=""), "kiel_sar.mstar: there is a dataset of that name"),
    ],
)
def test_a_module_that_is_no_pipeline_of_its_name_is_left_out_and_named(
    site: Path, name: str, text: str, message: str
) -> None:
    (site / "kiel_sar" / name).write_text(text)
    listed = sar_data(site, "datasets")
    assert listed.returncode == 0
    assert "quay-sar" in listed.stdout
    assert message in listed.stderr
    assert "MSTAR" in sar_data(site, "info", "mstar").stdout


FORMS = {
    f"{name} {variant}".strip(): form.spec
    for name in catalog.names()
    if (one := catalog.pipeline(name)).declare is None
    for variant, form in {"": one, **one.variants}.items()
}


@pytest.mark.parametrize("form", FORMS)
def test_a_published_dataset_states_what_was_done_to_its_values_or_that_no_source_tells(form: str) -> None:
    stated = FORMS[form].processing
    assert stated is not None  # Processing() says on purpose that nothing is known
    known = set(dataclasses.astuple(dataclasses.replace(stated, source="unknown"))) - {"unknown", None}
    assert bool(known) == bool(stated.source)


def test_the_page_of_radiometry_has_what_every_published_dataset_states() -> None:
    page = (ROOT / "docs" / "radiometry.md").read_text()
    for name, spec in FORMS.items():
        if " " not in name:
            known = dataclasses.astuple(spec.processing or Processing())[1:5]
            corrected = {True: "yes", False: "no", None: "unknown"}[spec.terrain_corrected]
            assert f"| {' | '.join([name, spec.calibration, corrected, *known])} |" in page
