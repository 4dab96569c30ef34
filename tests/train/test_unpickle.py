"""A checkpoint of a stranger is tensors of plain numbers within its own size, or it is refused in a sentence."""

from __future__ import annotations

import io
import random
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sar_data.errors import BuildError, RunError, SarDataError
from sar_data.train.run import checkpoint
from sar_data.train.weights import reading
from tests.fuzz.mutants import mutated

READERS: tuple[Callable[[Path], Any], ...] = (checkpoint.load, reading.read)


def saved(model: Any, *, zipped: bool = True) -> bytes:
    sink = io.BytesIO()
    state = {"version": checkpoint.VERSION, "model": model}
    torch.save(state, sink, _use_new_zipfile_serialization=zipped)
    return sink.getvalue()


def compressed(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as plain, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    return sink.getvalue()


def endless() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["model"] = found
    return found


STRANGE: dict[str, Callable[[], bytes]] = {
    "compressed ones": lambda: compressed(saved({"a": torch.zeros(1 << 20)})),
    "a tensor within": lambda: saved({"a": torch.zeros(1).expand(1 << 40)}),
    "a dense tensor": lambda: saved({"a": torch.ones(3).to("meta")}),
    "inside of each other": lambda: saved(endless()),
}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("expected", STRANGE)
def test_tensors_of_no_use_are_refused_before_anybody_uses_them(
    tmp_path: Path, read: Callable[[Path], Any], expected: str
) -> None:
    (tmp_path / "x.pt").write_bytes(STRANGE[expected]())
    with pytest.raises((BuildError, RunError), match=expected):
        read(tmp_path / "x.pt")


@pytest.mark.parametrize("read", READERS)
def test_attributes_that_a_pickle_gives_a_dict_are_left_out(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    state = OrderedDict(a=torch.ones(3))
    vars(state).update(_metadata=7, get="none")
    (tmp_path / "x.pt").write_bytes(saved(state))
    found = read(tmp_path / "x.pt")
    tensors = found["model"] if isinstance(found, dict) else found.tensors
    assert torch.equal(tensors["a"], torch.ones(3))


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_mutant_is_read_or_explained(tmp_path: Path, read: Callable[[Path], Any], zipped: bool) -> None:
    sound, path, refused = saved({"a": torch.ones(3)}, zipped=zipped), tmp_path / "x.pt", 0
    for number in range(120):
        path.write_bytes(mutated(sound, random.Random(number)))
        try:
            read(path)
        except SarDataError:
            refused += 1
    assert refused


def test_a_state_of_another_version_is_told_as_such(tmp_path: Path) -> None:
    torch.save({"version": torch.ones(3), "model": {}}, tmp_path / "x.pt")
    with pytest.raises(RunError, match="of version 1, found 'dict'"):
        checkpoint.load(tmp_path / "x.pt")
