"""The catalogues: each a module with URL, BATCH and `open_search(url, patience, authorise)`, imported when chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Literal, get_args
from urllib.parse import urlsplit

from sar_data.download.http import Authorise
from sar_data.download.retry import Patience
from sar_data.errors import UsageError, unknown
from sar_data.sources.scenes.product import Product

Search = Callable[[Sequence[str]], Iterable[Product]]
"""Returns every product whose name begins with one of the names; others are allowed, in any order."""

MAX_PRODUCTS = 1_000  # of one query: endless pages are not read further

Name = Literal["cdse", "asf", "stac", "dhus"]
CATALOGUES: tuple[str, ...] = get_args(Name)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A catalogue at an address; `batch` names go into one query. `searching` opens its search."""

    name: str
    url: str
    batch: int
    searching: Callable[[], AbstractContextManager[Search]]


def catalogue(
    name: str, url: str | None = None, *, authorise: Authorise | None = None, patience: Patience | None = None
) -> Catalogue:
    """Return a catalogue by its name, at its public address or at `url`; raise UsageError where one is wrong.

    `authorise` gives the header of each host: public catalogues need none, national and private hubs a login.
    """
    if name not in CATALOGUES:
        raise unknown("catalogue", name, CATALOGUES)
    module = import_module(f"sar_data.sources.scenes.{name}")
    url = url or module.URL
    if url is None:
        raise UsageError(f"`catalogue={name}` has no public address: expected `url=https://HUB/`, found none")
    url = check_url(url)
    return Catalogue(
        name, url, module.BATCH, partial(module.open_search, url, patience or Patience(), authorise or no_login)
    )


def no_login(host: str, refused: bool) -> None:
    """Return no header for any host."""


def check_url(url: str) -> str:
    """Return an address without a slash at its end; raise UsageError unless it is http(s), without a password."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{url}: expected an address such as https://HOST/PATH: {error}") from None
    if parts.username or parts.password:  # it would appear in lists, logs and messages
        raise UsageError(f"an address at {parts.hostname} holds a user name: give it by ~/.netrc or the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{url}: expected an address such as https://HOST/PATH")
    return url.rstrip("/")
