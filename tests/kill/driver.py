"""A builder to be killed: it imports, opens its runner, says "ready", and builds what each line of stdin asks for."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any


def main() -> None:
    workers = int(sys.argv[1])

    import zarr  # noqa: F401  its import would otherwise fall into the build

    from sar_data import catalog
    from sar_data.builder import scan
    from sar_data.builder.itinerary import build
    from sar_data.builder.request import BuildRequest
    from sar_data.errors import SarDataError
    from sar_data.runners import Processes, Serial

    scan.CHUNK = 16  # several tasks from a miniature archive
    pipeline = catalog.pipeline("bigearthnet-s1")
    runner: Any = Processes(workers) if workers > 1 else nullcontext(Serial())
    with runner as crew:
        list(crew.map(len, ["warm"] * 2 * workers))
        print("ready", flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            packed: list[int] = []

            def count(stage: str, done: int, total: int, packed: list[int] = packed) -> None:
                if stage == "pack":
                    packed.append(done)

            try:
                made = build(
                    BuildRequest(
                        dataset=pipeline, source=Path(request["source"]), out=Path(request["out"]), **request["options"]
                    ),
                    runner=crew,
                    progress=count,
                )
                answer = {"path": str(made.path), "digest": made.manifest.content_digest, "packed": len(packed)}
            except SarDataError as error:
                answer = {"error": type(error).__name__, "message": str(error)}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
