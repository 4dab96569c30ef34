"""A page as its elements and its texts."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class Document(HTMLParser):
    """`elements` are (tag, attributes) in order, `text` is all that is no markup, but the style."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self._texts: list[str] = []
        self._styled = False
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._styled = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._styled = False

    def handle_data(self, data: str) -> None:
        if not self._styled:
            self._texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        return "".join(self._texts)
