"""The Alaska Satellite Facility, by asf_search: NASA's Common Metadata Repository, searched without login."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from sar_data.download.http import Authorise
from sar_data.download.retry import Patience
from sar_data.errors import UsageError, missing_extra
from sar_data.sources.scenes.catalogue import Search
from sar_data.sources.scenes.product import Product, is_full_name

URL = "https://cmr.earthdata.nasa.gov"
BATCH = 100


@contextmanager
def open_search(url: str, patience: Patience, authorise: Authorise) -> Iterator[Search]:
    """Open the granule search of a CMR. Raises Unreachable, FetchError, MissingExtra without asf_search."""
    try:
        import asf_search
    except ImportError as error:
        raise missing_extra("asf_search", "scenes") from error
    from sar_data.sources.scenes.session import configure_session, explain_errors

    parts = urlsplit(url)
    if parts.scheme != "https" or parts.path:
        raise UsageError(f"`url={url}`: asf_search speaks https only, to the root of a host: expected https://HOST")
    asf_search.REPORT_ERRORS = False  # else it reports every failed search to its authors
    with configure_session(asf_search.ASFSession(), patience, authorise) as session:
        options = asf_search.ASFSearchOptions(host=parts.netloc, session=session)

        def search(names: Sequence[str]) -> Iterator[Product]:
            # Full names are looked up in an index; one pattern in a query turns all its names into patterns.
            full_names = [name for name in names if is_full_name(name)]
            for query in (full_names, [f"{name}*" for name in names if not is_full_name(name)]):
                if query:
                    with explain_errors(url, asf_search.ASFSearchError):
                        granules = list(asf_search.granule_search(query, opts=options))
                    yield from (product for granule in granules if (product := _product(granule.properties)))

        yield search


def _product(facts: dict[str, object]) -> Product | None:
    """Return a granule as a product; None for metadata, which are separate granules there."""
    link, size, md5 = facts.get("url"), facts.get("bytes"), facts.get("md5sum")
    if not isinstance(link, str) or "METADATA" in str(facts.get("processingLevel")):
        return None
    return Product(
        name=str(facts["sceneName"]),
        link=link,
        bytes=int(size) if isinstance(size, (int, float)) and size > 0 else None,
        checksum=f"md5:{md5.lower()}" if isinstance(md5, str) else None,
    )
