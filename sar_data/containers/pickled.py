"""Read a pickled tuple of bytes, text, whole numbers and tuples; anything else that a pickle says is refused.

Python's unpickler calls what a pickle names. This parser has no way to call anything: of the pickle machine it knows
the instructions that put plain values on the stack, and stops at the first other one. The bytes of images are not
copied: a value is read at its head and its tail alone, so that a scan of half a million records reads no pixels.
Source of the instructions: CPython's pickletools.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from sar_data.errors import BadRecord

Part = Callable[[int, int], bytes]
"""Returns the bytes from an offset, of a length."""
MOST_STEPS = 256  # instructions of a value: a record of five parts has 30
MOST_DIGITS = 8  # bytes of a whole number
MOST_TEXT = 4096  # bytes of a text
WINDOW = 256  # bytes that are read at once
SHOWN = 80
NEWEST = 5  # protocol

LENGTHS = {b"C": "<B", b"B": "<I", b"\x8e": "<Q", b"U": "<B", b"T": "<i"}  # of bytes; U and T are Python 2's
TEXTS = {b"\x8c": "<B", b"X": "<I", b"\x8d": "<Q"}
NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i"}
TUPLES = {b")": 0, b"\x85": 1, b"\x86": 2, b"\x87": 3}
PUTS = {b"q": "<B", b"r": "<I"}
GETS = {b"h": "<B", b"j": "<I"}
FRAME, FRAME_BYTES = b"\x95", 8
CALLS = {
    b"c": "GLOBAL", b"\x93": "STACK_GLOBAL", b"R": "REDUCE", b"b": "BUILD", b"i": "INST", b"o": "OBJ",
    b"\x81": "NEWOBJ", b"\x92": "NEWOBJ_EX", b"P": "PERSID", b"Q": "BINPERSID", b"\x82": "EXT1", b"\x83": "EXT2",
    b"\x84": "EXT4",
}  # fmt: skip
"""Instructions that call or import what the pickle names."""
PLAIN = {
    b"]": "a list", b"l": "a list", b"}": "a dict", b"d": "a dict", b"N": "None", b"G": "a float", b"F": "a float",
    b"\x88": "true", b"\x89": "false", b"\x8f": "a set", b"\x96": "a bytearray", b"V": "text of protocol 0",
    b"S": "text of protocol 0", b"I": "a number of protocol 0", b"L": "a number of protocol 0",
}  # fmt: skip
REMEDY = (
    "Nothing of it was executed. Write arrays as their bytes and shape, `(image.tobytes(), image.shape, "
    "target.tobytes())`, or save the samples as .npy files"
)


class Span(NamedTuple):
    """Where the bytes of a bytes object lie in a pickle."""

    start: int
    size: int


Value = Span | str | int | tuple["Value", ...]


def parse(part: Part, size: int, where: str) -> tuple[Value, ...]:
    """Return the parts of a pickled tuple; raise BadRecord, which names `where`, for any other pickle."""
    machine = _Machine(part, size, where)
    value = machine.run()
    if not isinstance(value, tuple):
        raise BadRecord(where, f"expected a pickled tuple, found {_describe(value)}. {REMEDY}")
    return value


class _Mark:
    """Where a tuple of any length begins on the stack."""


class _Machine:
    """The stack, and where in the pickle the next instruction stands."""

    def __init__(self, part: Part, size: int, where: str) -> None:
        self._part, self._size, self._where = part, size, where
        self._at, self._window, self._begin = 0, b"", 0
        self._stack: list[Value | _Mark] = []
        self._memo: dict[int, Value] = {}

    def run(self) -> Value:
        for _ in range(MOST_STEPS):
            code = self._take(1)
            if code == b".":
                if len(self._stack) != 1 or isinstance(self._stack[0], _Mark):
                    raise self._broken(f"one value at the end, found {len(self._stack)}")
                return self._stack[0]
            self._step(code)
        raise self._broken(f"at most {MOST_STEPS} instructions, found more")

    def _step(self, code: bytes) -> None:
        if code in LENGTHS:
            size = self._number(LENGTHS[code])
            self._push(Span(self._at, self._within(size)))
            self._at += size
        elif code in TEXTS:
            size = self._number(TEXTS[code])
            if size > MOST_TEXT:
                raise self._broken(f"text of at most {MOST_TEXT} bytes, found {size:,}")
            self._push(self._take(size).decode("utf-8", "replace"))
        elif code in NUMBERS:
            self._push(self._number(NUMBERS[code]))
        elif code == b"\x8a":
            self._push(int.from_bytes(self._digits(), "little", signed=True))
        elif code in TUPLES:
            self._gather(len(self._stack) - TUPLES[code])
        elif code == b"(":
            self._stack.append(_Mark())
        elif code == b"t":
            marks = [i for i, value in enumerate(self._stack) if isinstance(value, _Mark)]
            if not marks:
                raise self._broken("the mark at which a tuple begins, found none")
            self._gather(marks[-1], 1)
        elif code == b"\x94":
            self._memo[len(self._memo)] = self._last()
        elif code in PUTS:
            self._memo[self._number(PUTS[code])] = self._last()
        elif code in GETS:
            if (number := self._number(GETS[code])) not in self._memo:
                raise self._broken(f"a value that was noted before, found none as number {number}")
            self._push(self._memo[number])
        elif code == FRAME:
            self._take(FRAME_BYTES)
        elif code == b"\x80":
            if not 2 <= (protocol := self._number("<B")) <= NEWEST:
                raise self._broken(f"a pickle of protocol 2 to {NEWEST}, found {protocol}")
        else:
            raise self._foreign(code)

    def _gather(self, first: int, marks: int = 0) -> None:
        """Make a tuple of what lies on the stack from `first` on, after its mark."""
        parts = self._stack[first + marks :] if first >= 0 else [_Mark()]
        values = tuple(value for value in parts if not isinstance(value, _Mark))
        if len(values) < len(parts):
            raise self._broken("the parts of a tuple, found too few")
        # A tuple that is noted and stands twice in the next one has more parts than any memory, in a hundred bytes.
        if any(type(part) is tuple for value in values if type(value) is tuple for part in value):
            raise self._broken("tuples of plain values in a tuple, found tuples inside of these")
        del self._stack[first:]
        self._push(values)

    def _last(self) -> Value:
        if not self._stack or isinstance(last := self._stack[-1], _Mark):
            raise self._broken("a value to note, found none")
        return last

    def _push(self, value: Value) -> None:
        self._stack.append(value)

    def _digits(self) -> bytes:
        if (size := self._number("<B")) > MOST_DIGITS:
            raise self._broken(f"whole numbers of at most {MOST_DIGITS} bytes, found {size}")
        return self._take(size)

    def _number(self, form: str) -> int:
        value: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _within(self, size: int) -> int:
        if not 0 <= size <= self._size - self._at:
            raise self._broken(f"{size:,} bytes, found the end after {self._size - self._at:,}: the value was cut off")
        return size

    def _take(self, size: int) -> bytes:
        """Return the next bytes; a window of the value is read at once."""
        start = self._at - self._begin
        if start < 0 or start + size > len(self._window):
            self._within(size)
            self._begin, start = self._at, 0
            self._window = self._part(self._at, min(max(size, WINDOW), self._size - self._at))
            if len(self._window) < size:
                raise self._broken(f"{size} bytes at {self._at}, found the end of the file")
        self._at += size
        return self._window[start : start + size]

    def _foreign(self, code: bytes) -> BadRecord:
        if code in PLAIN:
            return self._refusal(PLAIN[code], "expected bytes, text, whole numbers and tuples")
        if code not in CALLS:
            return self._broken(f"an instruction of a pickle, found byte {code[0]:#04x}")
        named = ""
        if code == b"\x93":
            named = ".".join(value for value in self._stack[-2:] if isinstance(value, str))
        elif code in (b"c", b"i"):
            text = self._part(self._at, min(WINDOW, self._size - self._at)).split(b"\n")[:2]
            named = ".".join(line.decode("ascii", "replace").strip() for line in text)
        call = f"a call of {named[:SHOWN]}" if named else f"a call ({CALLS[code]})"
        return self._refusal(call, "expected bytes, text, whole numbers and tuples")

    def _refusal(self, value: str, expected: str) -> BadRecord:
        return BadRecord(self._where, f"{expected}, found {value} in its pickle. {REMEDY}")

    def _broken(self, expected: str) -> BadRecord:
        return BadRecord(self._where, f"expected {expected}: the pickle is damaged, or none")


def _describe(value: Value) -> str:
    return f"{value.size:,} bytes" if isinstance(value, Span) else repr(value)[:SHOWN]
