"""Look scenes up: in the cache, then in the catalogue, batch by batch; every answer is saved at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import xxhash
from pydantic import TypeAdapter

from sar_data.progress import Progress
from sar_data.sources.scenes.catalogue import MAX_PRODUCTS, Catalogue, Search
from sar_data.sources.scenes.json_request import malformed_error
from sar_data.sources.scenes.product import CRC, SCENE, Match, Product, is_full_name, match
from sar_data.system import durable, private, strict_json


def look_up(
    scenes: Iterable[str], catalogue: Catalogue, cache: Path, *, progress: Progress | None = None
) -> dict[str, Match]:
    """Return the match of every scene, one without a product where there is none; sorted.

    What was found is kept below `cache`, a file a scene, and not asked for again: an interrupted search goes on, and a
    grown dataset asks for what is new. A scene without a product is asked for again. `cache` is a folder of our own.
    `progress` counts "scenes". Raises Unreachable, FetchError, TargetError.
    """
    names = sorted(set(scenes))
    if os.path.lexists(cache):
        private.private_folder(cache)
    folder = cache / f"{catalogue.name}-{xxhash.xxh3_64_hexdigest(catalogue.url.encode())}"
    matches = {scene: answer for scene in names if (answer := _load(folder, scene))}
    tell = progress or (lambda stage, done, total: None)
    tell("scenes", len(matches), len(names))
    for answer in _query([scene for scene in names if scene not in matches], catalogue):
        matches[answer.scene] = answer
        if answer.product:
            _save(folder, answer)
        tell("scenes", len(matches), len(names))
    return {scene: matches[scene] for scene in names}


def _query(scenes: Sequence[str], catalogue: Catalogue) -> Iterator[Match]:
    valid = [scene for scene in scenes if SCENE.fullmatch(scene)]
    for scene in sorted(set(scenes) - set(valid)):
        yield Match(scene=scene, reason="expected the name of a Sentinel-1 product, or its beginning up to a time")
    if not valid:
        return
    with catalogue.searching() as search:
        for first in range(0, len(valid), catalogue.batch):
            batch = valid[first : first + catalogue.batch]
            products = _search(search, batch, catalogue)
            for scene in batch:
                yield match(scene, products) or _find_reprocessed(scene, search, catalogue)


def _find_reprocessed(scene: str, search: Search, catalogue: Catalogue) -> Match:
    """Return the product of the same acquisition whose name differs in its CRC alone; it is tried last."""
    if is_full_name(scene):
        if reprocessed := match(scene, _search(search, [scene[:-CRC]], catalogue)):
            return reprocessed
        return Match(
            scene=scene,
            reason=f"{catalogue.name} has no product of this name, nor of the same acquisition processed again",
        )
    return Match(scene=scene, reason=f"{catalogue.name} has no product whose name begins so")


def _search(search: Search, names: Sequence[str], catalogue: Catalogue) -> list[Product]:
    products = list(islice(search(names), MAX_PRODUCTS + 1))
    if len(products) > MAX_PRODUCTS:
        raise malformed_error(catalogue.url, f"at most {MAX_PRODUCTS} products for {len(names)} names", "more")
    return products


def _save(folder: Path, answer: Match) -> None:
    with durable.explain_errors(folder):
        private.private_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    durable.write(folder / f"{answer.scene}.json", TypeAdapter(Match).dump_json(answer, indent=1))


def _load(folder: Path, scene: str) -> Match | None:
    """Return the saved match of a scene; None where it is missing or invalid: it is looked up again."""
    if not SCENE.fullmatch(scene):
        return None  # a name from outside, which might be a path
    try:
        answer = TypeAdapter(Match).validate_python(strict_json.loads((folder / f"{scene}.json").read_bytes()))
    except (OSError, ValueError):
        return None
    return answer if answer.scene == scene and answer.product else None
