"""One HTML file that needs no other: templates, style and pictures inside, no script, nothing asked of a network.

A build may come from a stranger, so what it says is text and nothing else: templates escape it, long texts are cut,
and the page's policy lets a browser load pictures of the page itself only.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sar_data.reports.words import Language, Words

TEMPLATES = Path(__file__).parent / "templates"
MOST_CHARACTERS = 4000  # of one text


def render(template: str, language: Language, **facts: Any) -> bytes:
    """Return a page of facts in a language."""
    words = Words(language)
    text = _environment().get_template(template).render(t=words, lang=words.tag, **facts)
    return text.encode()


def drawn(text: str) -> Markup:
    """Return numbers or base64 that we wrote, which a template neither escapes nor cuts."""
    return Markup(text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_cut,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=lambda value: f"{value:,}", percent=percent, coded=mark_code)
    return environment


def _cut(value: Any) -> Any:
    """Return a value as it is shown: nothing for None, the beginning of a very long text."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup) and len(value) > MOST_CHARACTERS:
        return f"{value[:MOST_CHARACTERS]}…"
    return value


def mark_code(text: str) -> Markup:
    """Return a sentence, escaped, whose words in backquotes are code."""
    parts = [Markup.escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def percent(share: float) -> str:
    """Return a share of 0 to 1 in percent: two digits after the point where it is below one percent."""
    if share in (0, 1):
        return f"{100 * share:.0f}\u00a0%"
    return f"{100 * share:.{2 if share < 0.01 else 1}f}\u00a0%"
