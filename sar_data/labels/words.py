"""The words of a label, which are names or numbers of classes; a list may have 0 or 1 for each class instead.

One list alone does not say which of both it is: [1, 0] may be two classes, or the first of two. All lists together do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sar_data.errors import BadRecord, SourceError
from sar_data.naming import few
from sar_data.system import strict_json

FLAGS = frozenset({"0", "1"})


def words_of(value: Any, where: str) -> tuple[str, ...] | None:
    """Return the words of a plain value: a name, a whole number, or a list of such; raise BadRecord for another one."""
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(value, float) and not value.is_integer() for value in values) or not all(
        isinstance(value, str | int | float) for value in values
    ):
        raise BadRecord(where, f"expected names or numbers of classes, found {value!r:.80}")
    return tuple(map(_word, values))


def words_of_cell(value: Any) -> tuple[str, ...]:
    """Return the words of a cell, () without a value: several are a list, or text parted by ; or |, or JSON's list."""
    if not isinstance(value, list | tuple):
        text = "" if value is None else str(value)
        value = text.replace("|", ";").split(";") if (several := _list(text)) is None else several
    return tuple(word for word in map(_word, value) if word)


def _list(text: str) -> list[Any] | None:
    try:
        value = strict_json.loads(text.encode()) if text.lstrip().startswith("[") else None
    except ValueError:  # a name that begins so
        return None
    return value if isinstance(value, list) else None


def _word(value: Any) -> str:
    """Return a name, or a whole number as it is written: true and 1.0 are 1."""
    is_whole = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if is_whole else str(value).strip()


def flags_length(labels: Iterable[Sequence[str]], counts: Collection[int]) -> int:
    """Return the length of lists of 0 and 1 for each class, 0 where labels are names or numbers of classes.

    `counts` are the numbers of classes that a sample may be labelled by, empty where they are not known. Lists of flags
    have one length, which is the number of classes; numbers of classes stand in a list once each. Raises SourceError
    where lists are of both kinds or may be of either.
    """
    lists = {tuple(words) for words in labels if words}
    flags = {words for words in lists if len(words) > 1 and {*words} <= FLAGS}
    if not flags:
        return 0
    lengths = {len(words) for words in lists}
    repeated = {words for words in flags if len({*words}) < len(words)}
    alike = flags == lists and len(lengths) == 1
    if alike and (lengths & {*counts} or (repeated and not counts)):
        return lengths.pop()
    if not repeated and (counts or not alike):
        return 0
    classes = f"each of {' or '.join(map(str, counts))} classes" if counts else "each class"
    first = min(repeated or flags)
    others = sorted(words for words in lists if words not in flags or len(words) != len(first))
    shown = [f"[{', '.join(words[:12])}]" for words in (first, *others[:1])]
    raise SourceError(
        f"labels: expected lists of 0 and 1 for {classes}, or lists of numbers of classes, each once, found "
        f"{' beside '.join(shown)}: give `classes=…`, or write names instead of numbers"
    )


def numbers_of(words: tuple[str, ...], flags: int, where: str) -> tuple[str, ...]:
    """Return the classes of a list by the form of all of them; raise BadRecord for a list of the other form."""
    is_flags = bool(words) and {*words} <= FLAGS
    if flags:
        if len(words) != flags or not is_flags:
            raise BadRecord(
                where, f"expected 0 or 1 for each of {flags} classes, as in other samples, found {_few(words)}"
            )
        return tuple(str(number) for number, word in enumerate(words) if word == "1")
    if is_flags and len({*words}) < len(words):
        raise BadRecord(where, f"expected each class once, as in other samples, found {_few(words)}")
    return words


def _few(words: Sequence[str]) -> str:
    return few([word[:40] for word in words]) or "none"
