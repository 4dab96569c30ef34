"""A DHuS hub, national or private, by sentinelsat: searched by file name, sizes and checksums from its OData.

sentinelsat and its html2text are under the GNU GPL 3: they are imported here alone, and only when this is chosen. Its
default hub closed in 2023 and answers no more, so that an address has to be given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sar_data.download.http import Authorise
from sar_data.download.retry import Patience
from sar_data.errors import missing_extra
from sar_data.sources.scenes.catalogue import MAX_PRODUCTS, Search
from sar_data.sources.scenes.product import Product

URL = None
BATCH = 10  # hubs take queries of about 3,900 characters, escaped


@contextmanager
def open_search(url: str, patience: Patience, authorise: Authorise) -> Iterator[Search]:
    """Open the OpenSearch of a hub. Raises Unreachable, FetchError, MissingExtra."""
    try:
        import sentinelsat
    except ImportError as error:
        raise missing_extra("sentinelsat", "scenes") from error
    from sar_data.sources.scenes.session import configure_session, explain_errors

    hub = sentinelsat.SentinelAPI(None, None, url, show_progressbars=False)
    with configure_session(hub.session, patience, authorise):

        def search(names: Sequence[str]) -> Iterator[Product]:
            with explain_errors(url, sentinelsat.SentinelAPIError):
                for identity in hub.query(filename={f"{name}*" for name in names}, limit=MAX_PRODUCTS + 1):
                    yield _product(hub.get_product_odata(identity))

        yield search


def _product(facts: Mapping[str, Any]) -> Product:
    return Product(
        name=f"{facts['title']}.SAFE",
        link=str(facts["url"]),
        bytes=facts["size"],
        checksum=f"md5:{facts['md5'].lower()}" if "md5" in facts else None,
        online=bool(facts["Online"]),
    )
