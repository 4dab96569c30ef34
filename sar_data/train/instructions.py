"""What the instructions of a pickle ask for, looked at before any of them is followed.

PyTorch's restricted unpickler takes names that need not be there in a checkpoint (`bytearray` of any length), and a few
bytes that refer to what was made before can ask for much: a tuple of a tuple that stands in it twice is hashed in twice
the time, each level anew. So the stack is followed here with the weight of each value in the place of the value.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

import torch

WEIGHT_A_BYTE, FREE = 16, 1 << 20  # of what is hashed and copied; FREE is for small files
_TENSORS = r"_utils\._rebuild_(tensor(_v[23])?|parameter(_with_state)?|meta_tensor_no_storage)"
_ALLOWED = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|(builtins|__builtin__)\.(set|complex)"
    rf"|torch\.(Size|device|nn\.parameter\.Parameter|((storage|cuda)\.)?\w*Storage|serialization\._get_layout|{_TENSORS})"
)


@dataclass(slots=True)
class _Value:
    """What a value weighs: how much is hashed or copied with it. `parts` are those of a tuple."""

    weight: int
    parts: list[_Value] | None = None


def check(file: Any, names: tuple[str, ...]) -> None:
    """Raise UnpicklingError for a pickle, read from where `file` is, that asks for more than tensors and plain values.

    `names` are classes that it may ask for besides. The file stands behind the pickle afterwards.
    """
    try:
        _follow(pickletools.genops(file), names)
    except UnpicklingError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # of instructions that are none
        raise UnpicklingError(f"expected a pickle, found {error}"[:200]) from error


def _follow(instructions: Any, names: tuple[str, ...]) -> None:
    stack, marks, memo, total = list[_Value](), list[int](), dict[Any, _Value](), 0
    for code, argument, at in instructions:
        if code.name == "GLOBAL":
            _check_name(argument.replace(" ", ".", 1), names)
        if code.name == "MARK":
            marks.append(len(stack))
        elif code.name.endswith("PUT"):
            memo[argument] = stack[-1]
        elif code.name.endswith("GET"):
            stack.append(memo[argument])
        else:
            taken = _taken(code, stack, marks)
            total += _step(code, argument, taken, stack)
        if max(total, stack[-1].weight if stack else 0) > WEIGHT_A_BYTE * (at or 0) + FREE:
            raise OverflowError("expected values that are said once, found some that repeat without end")


def _taken(code: Any, stack: list[_Value], marks: list[int]) -> list[_Value]:
    """Take off the stack what an instruction uses, and return it."""
    before = code.stack_before
    marked = pickletools.markobject in before
    first = marks.pop() - before.index(pickletools.markobject) if marked else len(stack) - len(before)
    if first < 0:
        raise ValueError("an instruction without its values")
    taken = stack[first:]
    del stack[first:]
    return taken


def _step(code: Any, argument: Any, taken: list[_Value], stack: list[_Value]) -> int:
    """Put on the stack what an instruction makes, and return the weight of what it hashes and copies."""
    if code.name.startswith("TUPLE") or code.name == "EMPTY_TUPLE":
        stack.append(_Value(1 + sum(part.weight for part in taken), taken))
        return 0
    if code.name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
        home, *items = taken
        home.weight += len(items)
        stack.append(home)
        return sum(key.weight for key in items[::2]) if code.name.startswith("SET") else 0
    if code.name in ("REDUCE", "NEWOBJ"):
        if (parts := taken[1].parts) is None:
            raise ValueError("arguments that are no tuple")
        stack.append(_Value(1 + sum(part.weight for part in parts)))
        return stack[-1].weight
    if code.name == "BUILD":
        stack.append(taken[0])
        return 0
    stack += [_Value(1 + (len(argument) if isinstance(argument, str) else 0)) for _ in code.stack_after]
    return 0


def _check_name(name: str, names: tuple[str, ...]) -> None:
    home, _, last = name.rpartition(".")
    plain = home == "torch" and isinstance(getattr(torch, last, None), torch.dtype)
    if name not in names and not plain and not _ALLOWED.fullmatch(name):
        raise UnpicklingError(f"expected tensors and plain values, found GLOBAL {name}"[:200])
