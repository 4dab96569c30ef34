"""Where the repository is, and where real data lie that are not part of it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES = Path(os.environ.get("SAR_DATA_SAMPLES", ROOT.parent / "shared" / "samples"))
