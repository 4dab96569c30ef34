"""A miniature of data of one's own obeys the law book as a published dataset does."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.custom import PIPELINE
from pipelines.synth import custom
from tests.contract.pipelines import PipelineContract


@pytest.fixture(scope="module")
def custom_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("custom")
    custom.synthesise(out, count=30, seed=0)
    return out


class TestCustom(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, custom_archive: Path) -> Path:
        return custom_archive

    def test_the_file_begins_with_what_a_newcomer_must_know(self) -> None:
        assert self.pipeline.spec.name == "my-chips"  # the declared name; the module's is custom
        self.pipeline = PIPELINE
        super().test_the_file_begins_with_what_a_newcomer_must_know()
