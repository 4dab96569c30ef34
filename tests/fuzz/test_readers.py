"""Whatever a file holds, its reader returns what it understood or an error that names the file, and nothing else."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from sar_data.errors import SarDataError
from tests.fuzz.readers import READERS, Reader

FEW, MANY = 150, 20_000
LONGEST_MESSAGE = 1000


def verdict(read: Callable[[bytes], object], data: bytes, names: tuple[str, ...]) -> str:
    """Return the name of the error that a reader raises, "taken" for none; fail for one that nobody explains."""
    try:
        read(data)
    except SarDataError as error:
        found, message = type(error).__name__, str(error)
    else:
        return "taken"
    assert any(name in message for name in names), f"{message!r} does not name the file"
    assert len(message) < LONGEST_MESSAGE, f"{len(message)} characters"
    return "unforeseen" if "found one that fails to be read" in message else found


def tried(name: str, reader: Reader, count: int) -> Counter[str]:
    found: Counter[str] = Counter()
    slowest = 0.0
    for number in range(count):
        data = reader.mutant(random.Random(f"{name} {number}"))
        began = time.process_time()
        try:
            found[verdict(reader.read, data, reader.names)] += 1
        except BaseException as error:
            error.add_note(f"mutant {number} of {name}: {data[:300]!r}")
            raise
        slowest = max(slowest, time.process_time() - began)
    print(f"{name:>24}: {dict(found)}, slowest {slowest * 1e3:.1f} ms")
    return found


@pytest.mark.parametrize("name", READERS)
def test_sound_files_are_read(name: str) -> None:
    reader = READERS[name]
    for parts in reader.seeds:
        reader.read(reader.build(parts))


@pytest.mark.parametrize("name", READERS)
def test_a_mutant_is_read_or_refused_by_name(name: str) -> None:
    found = tried(name, READERS[name], FEW)
    assert len(found) > 1 or name == "part.json", "expected some mutants to be refused, and some to be taken"


@pytest.mark.fuzz
@pytest.mark.parametrize("name", READERS)
def test_twenty_thousand_mutants_are_read_or_refused_by_name(name: str) -> None:
    tried(name, READERS[name], MANY)
