"""What a build says of the dates of its samples: which of them differ in more than time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.sealed.records import Records


def describe_mixed_dates(scanned: pa.Table) -> tuple[str, ...]:
    """Return a sentence for the records whose dates are of several platforms, and one for several relative orbits.

    Images of two satellites may be apart by pixels, those of two orbits are seen from other angles.
    """
    records = Records(scanned.filter(pc.greater(pc.list_value_length(scanned["dates"]), 1)))
    sentences = []
    for field, words in (("platform", "platforms"), ("relative_orbit", "relative orbits")):
        values = [(record.key, {getattr(date, field) for date in record.dates} - {None}) for record in records]
        if mixed := [(key, sorted(known)) for key, known in values if len(known) > 1]:
            key, known = mixed[0]
            example = f"{key}: {' and '.join(map(str, known))}"
            sentences.append(f"{len(mixed):,} of {len(scanned):,} samples mix {words}, such as {example}")
    return tuple(sentences)
