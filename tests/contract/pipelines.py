"""The law book of our own datasets: that of everyone, and the golden figures of every miniature's build."""

from __future__ import annotations

from pathlib import Path

from sar_data.sealed.opened import Build
from sar_data.testing import pipelines
from tests import golden


class PipelineContract(pipelines.PipelineContract):
    def check_build(self, archive: Path, build: Build) -> None:
        spec = self.pipeline.spec
        golden.check(
            "/".join(filter(None, (spec.name, spec.version, spec.variant, type(self).__name__))), archive, build
        )
