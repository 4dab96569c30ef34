"""A fetcher to be killed: it fetches what the JSON of its argument asks for, and says what came of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    from sar_data.download.fetch import fetch
    from sar_data.download.http import Web
    from sar_data.download.retry import Patience
    from sar_data.errors import SarDataError
    from sar_data.spec import Source

    request = json.loads(sys.argv[1])
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        print(line, file=sys.stderr, flush=True)

    try:
        with Web(patience=Patience(attempts=3, first_s=0.001)) as web:
            outcomes = fetch(
                [Source(**source) for source in request["sources"]],
                Path(request["folder"]),
                web=web,
                now=lambda: "2026-11-02T00:00:00+00:00",
                say=say,
            )
        states = [outcome.state for outcome in outcomes]
        answer = {"states": states, "messages": [outcome.message for outcome in outcomes], "said": said}
    except SarDataError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
