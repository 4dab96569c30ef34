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


def crafted(pickle: bytes) -> bytes:
    """Return a checkpoint of PyTorch whose values are those of another pickle."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({}))) as sound, zipfile.ZipFile(sink, "w") as made:
        for name in sound.namelist():
            made.writestr(name, pickle if name.endswith("data.pkl") else sound.read(name))
    return sink.getvalue()


def doubled(times: int = 60) -> bytes:
    """Return a pickle of a dict whose key is a tuple of a tuple, each with the one before in it twice."""
    pairs = b"".join(b"q%ch%c\x86" % (number, number) for number in range(times))
    return b"\x80\x02})" + pairs + b"K\x01s."


def asked(name: str, argument: bytes, times: int = 1) -> bytes:
    """Return a pickle of a list of what a function makes of one argument, again and again."""
    return b"\x80\x02]" + argument + b"q\x00" + b"c%b\nh\x00\x85Ra".replace(b"%b", name.encode()) * times + b"."


STRANGE: dict[str, Callable[[], bytes]] = {
    "compressed ones": lambda: compressed(saved({"a": torch.zeros(1 << 20)})),
    "a tensor within": lambda: saved({"a": torch.zeros(1).expand(1 << 40)}),
    "a dense tensor": lambda: saved({"a": torch.ones(3).to("meta")}),
    "inside of each other": lambda: saved(endless()),
    "values that are said once": lambda: crafted(doubled()),
    r"builtins\.bytearray": lambda: crafted(asked("builtins\nbytearray", b"J\xff\xff\xff\x7f")),
    r"torch\.FloatTensor": lambda: crafted(asked("torch\nFloatTensor", b"J\xff\xff\xff\x7f")),
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


@pytest.mark.parametrize("made", ["builtins\nset", "collections\nCounter", "torch\nSize", "collections\nOrderedDict"])
def test_a_value_that_is_copied_again_and_again_is_refused(tmp_path: Path, made: str) -> None:
    long = b"(" + b"".join(b"J%b" % number.to_bytes(4, "little") for number in range(50_000)) + b"t"
    (tmp_path / "x.pt").write_bytes(crafted(asked(made, long, 20_000)))
    with pytest.raises(RunError, match="values that are said once"):
        checkpoint.load(tmp_path / "x.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_training_keeps_is_no_repetition(tmp_path: Path, zipped: bool) -> None:
    network = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(200)])
    adam = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    adam.step()
    steps = torch.optim.lr_scheduler.MultiStepLR(adam, [3, 7])
    state = {"model": network.state_dict(), "again": network.state_dict(), "optimiser": adam.state_dict()}
    (tmp_path / "x.pt").write_bytes(saved(state | {"steps": steps.state_dict()}, zipped=zipped))
    found = reading.read(tmp_path / "x.pt")
    assert found.part == "model.model"
    assert len(found.tensors) == 400


def test_names_are_stripped_of_a_few_wrappers_alone() -> None:
    bare, _ = reading._bare({"module." * 100_000 + "a": torch.ones(1)})
    assert list(bare) == ["module." * (100_000 - reading.MOST_WRAPPED) + "a"]
