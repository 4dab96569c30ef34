"""Contract classes: a test class inherits one, and a dataset or a format of one's own is held to the laws of ours.

    from sar_data.testing.pipelines import PipelineContract

    class TestKiel(PipelineContract):
        pipeline = PIPELINE  # and a fixture `archive`

They need pytest, formats.py also hypothesis (`pip install 'sar-data[testing]'`). Nothing else here imports this room.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("sar_data.testing.formats", "sar_data.testing.pipelines")
