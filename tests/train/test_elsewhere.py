"""What a run of boxes says of another build, and in the documents of others: COCO, DOTA, CSV; a run that is stopped."""

from __future__ import annotations
