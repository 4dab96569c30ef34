"""Whatever one file of a dataset holds, scan and read give records or an error that names a file, and nothing else."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from sar_data import catalog
from sar_data.errors import SarDataError, SourceError
from sar_data.spec import Pipeline
from tests.fuzz.memory import Memory
from tests.fuzz.mutants import mutated
from tests.mini.archives import files_of

COUNT, FEW, MANY = 4, 20, 5000
WORDS = (".json", ".xml", ".txt", ".csv", ".geojson", ".parquet")


def taken(pipeline: Pipeline, tree: Memory, path: str) -> None:
    """Do what a build does with a source: fit, list, scan all, and read the records to which a file belongs."""
    pipeline = pipeline.fit(tree)[0] if pipeline.fit else pipeline
    for unit in sorted(pipeline.units(tree)):
        for record in pipeline.scan(tree, unit):
            if record.unused is None and any(file.path == path for file in record.files):
                pipeline.read(tree, record)


def tried(name: str, root: Path, count: int) -> None:
    catalog.synthesise(name)(root, count=COUNT, seed=0)
    whole = {path: data for path, data in files_of(root).items() if data is not None}
    # Half of the files that are changed are labels: there are few of them, and much depends on each.
    labels = [path for path in sorted(whole) if path.lower().endswith(WORDS)] or sorted(whole)
    pipeline = catalog.pipeline(name)
    forms = [form for form in (pipeline, *pipeline.variants.values()) if fits(form, Memory(whole))]
    found: Counter[str] = Counter()
    for number in range(count):
        draw = random.Random(f"{name} {number}")
        form, path = draw.choice(forms), draw.choice(draw.choice((labels, sorted(whole))))
        tree = Memory({**whole, path: mutated(whole[path], draw)})
        try:
            taken(form, tree, path)
            found["taken"] += 1
        except SarDataError as error:
            found[type(error).__name__] += 1
        except Exception as error:
            error.add_note(f"mutant {number} of {name}, {form.spec.variant or 'the default'}, in {path}")
            raise
    print(f"{name:>24}: {dict(found)}")


def fits(form: Pipeline, tree: Memory) -> bool:
    try:
        taken(form, tree, "")
    except SourceError:  # a variant for scenes that the miniature lacks
        return False
    return True


@pytest.mark.parametrize("name", catalog.names())
def test_a_file_that_was_changed_is_read_or_refused(name: str, tmp_path: Path) -> None:
    tried(name, tmp_path, FEW)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", catalog.names())
def test_thousands_of_files_that_were_changed_are_read_or_refused(name: str, tmp_path: Path) -> None:
    tried(name, tmp_path, MANY)
