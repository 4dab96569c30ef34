"""The leakage card as a table, and the pairs of samples that leak most."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.reports.rows import Rows
from sar_data.sealed.documents import LeakageFigure
from sar_data.sealed.leakage import INDEX_COLUMNS, MEANINGS, PAIRS, pair
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.pairs import Pair, worst_pairs
from sar_data.sealed.samples import thumbs_of
from sar_data.statistics.alike import find_alike

SHOWN = 6  # pairs
MOST_JUDGED = 2000  # samples that pairs are looked for among: the rest of a large split would take seconds
MOST_LOOKS = 3000  # samples of both sides whose looks are compared, a millisecond each


@dataclass(frozen=True)
class Card:
    """Figures by name and by pair of splits; `pairs` of one of these are the worst of `judged` samples of `of`."""

    figures: dict[str, dict[str, LeakageFigure | None]]
    judged: int
    of: int
    between: tuple[str, str]
    pairs: list[Pair]

    @property
    def known(self) -> dict[str, dict[str, float | None]]:
        """The shares by name and pair of splits, without the figures that are not known of any pair."""
        shares = {
            name: {between: figure.value if figure else None for between, figure in row.items()}
            for name, row in self.figures.items()
        }
        return {name: row for name, row in shares.items() if any(share is not None for share in row.values())}

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why figures are not known, or not of all samples → their names."""
        names: dict[str, list[str]] = {}
        for name, row in self.figures.items():
            for text in dict.fromkeys(figure.reason for figure in row.values() if figure and figure.reason):
                names.setdefault(text, []).append(name)
        return names


def card(manifest: Manifest, rows: Rows) -> Card:
    """Return the card of a build with its worst pairs, of test and train, or else of the next pair that has any."""
    prefixes = [prefix for prefix in PAIRS if pair(manifest.leakage, prefix)]
    figures = {
        name: {" – ".join(PAIRS[prefix]): manifest.leakage.get(prefix + name) for prefix in prefixes}
        for name in MEANINGS
        if any(prefix + name in manifest.leakage for prefix in prefixes)
    }
    for prefix in prefixes:
        judged, other = (rows.splits[name].select(INDEX_COLUMNS) for name in PAIRS[prefix])
        near = manifest.leakage.get(f"{prefix}near_duplicate")
        pairs = _pairs(judged, other, rows, looks=bool(near and near.value))
        if pairs:
            return Card(figures, min(len(judged), MOST_JUDGED), len(judged), PAIRS[prefix], pairs)
    return Card(figures, 0, 0, PAIRS[""], [])


def _pairs(judged: pa.Table, other: pa.Table, rows: Rows, *, looks: bool) -> list[Pair]:
    judged = judged.slice(0, MOST_JUDGED)
    if not len(judged) or not len(other):
        return []
    partner = beyond = None
    if looks and rows.samples is not None and len(judged) + len(other) <= MOST_LOOKS:
        thumbs = thumbs_of(rows.samples, rows.bands)
        sides = (thumbs[pc.index_in(side["key"], rows.index["key"]).to_numpy()] for side in (judged, other))
        alike = find_alike(*sides)
        partner, beyond = alike.partner, alike.beyond
    return list(islice(worst_pairs(judged, other, partner, beyond), SHOWN))
