"""XML in the encodings that annotators use; DTDs, entities and references to other files are refused."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import TreeBuilder

from sar_data.errors import BadRecord
from sar_data.text import MARKS

_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]{1,40})["']""")
# Encodings that a declaration may name: Python knows other codecs, such as decompressors.
_KNOWN = re.compile(r"utf-?(8|16|32)(-[lb]e)?|ascii|gb\w+|big5\w*|cp\d+|iso8859-\d+|euc_\w+|shift_jis\w*|koi8-\w")
DEPTH = 64  # of elements; annotations have six or less
_STRAY = "\0\x1a \t\r\n"  # old editors and file systems leave these after the last tag


def text_of(data: bytes, path: str) -> str:
    """Return the text of an XML file; raise BadRecord where its encoding is unknown.

    A byte order mark decides, then the declaration; where both fail, UTF-8, then GB 18030, which includes GBK and
    GB 2312. Blanks before the first tag, and blanks, NUL and Ctrl-Z after the last one, are removed.
    """
    for encoding in _encodings(data):
        try:
            text = data.decode(encoding).removeprefix("\ufeff").lstrip()
        except UnicodeDecodeError:
            continue
        if text[:1] == "<":  # else it was decoded with the wrong encoding
            return text.rstrip(_STRAY)
    shown = repr(data[:60]) if data else "an empty file"
    raise BadRecord(path, f"expected XML in UTF-8, UTF-16, GB 18030 or the encoding it declares, found {shown}")


def _encodings(data: bytes) -> Iterator[str]:
    yield from (encoding for mark, encoding in MARKS.items() if data.startswith(mark))
    if declared := _DECLARED.match(data):
        try:
            name = codecs.lookup(declared[1].decode("ascii", "replace")).name
        except LookupError:
            name = ""
        if _KNOWN.fullmatch(name):
            yield "gb18030" if name in ("gbk", "gb2312") else name
    yield from ("utf-8", "gb18030")


class _BoundedBuilder(TreeBuilder):
    """Builds a tree of limited depth: each element costs a thousand times its letters."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: Any, attrs: Any, /) -> Any:
        self._depth += 1
        if self._depth > DEPTH:
            raise ValueError(f"expected at most {DEPTH} elements inside of each other, found more")
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Any:
        self._depth -= 1
        return super().end(tag)


def root_of(text: str, path: str, tag: str) -> Any:
    """Return the root element `tag` of an XML document; raise BadRecord where it is broken, hostile or another one."""
    import defusedxml.ElementTree
    from defusedxml.common import DefusedXmlException

    parser = defusedxml.ElementTree.XMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        parser.feed(text)
        root: Any = parser.close()
    except DefusedXmlException as error:
        raise BadRecord(path, f"expected XML without DTD and entities, found {error}") from None
    except (defusedxml.ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadRecord(path, f"expected XML, found {text[:60]!r}: {error}") from None
    if root.tag != tag:
        raise BadRecord(path, f"expected the root <{tag}>, found <{root.tag:.40}>")
    return root
