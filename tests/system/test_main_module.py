"""Whether new processes may import the main module, for each way in which Python is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sar_data.system.main_module import needs_main
from tests.places import ROOT

PLAIN = "from sar_data.system.main_module import is_importable\nprint(is_importable())\n"
GUARDED = (
    'from sar_data.system.main_module import is_importable\nif __name__ == "__main__":\n    print(is_importable())\n'
)
CALLED = """
from sar_data.system.main_module import hide_main, is_importable
import sys

def work():
    main = sys.modules["__main__"]
    with hide_main():
        assert not hasattr(main, "__file__")
    assert main.__file__
    print(is_importable())

work()
"""
THREAD = "import threading\nfrom sar_data.system.main_module import is_importable\n"
THREAD += "thread = threading.Thread(target=lambda: print(is_importable()))\nthread.start()\nthread.join()\n"


@pytest.mark.parametrize(
    ("text", "words", "may"),
    [
        (PLAIN, ["script.py"], False),
        (CALLED, ["script.py"], False),
        (THREAD, ["script.py"], False),
        (GUARDED, ["script.py"], True),
        (GUARDED, ["-m", "script"], True),
        (PLAIN, ["-"], False),
        (PLAIN, ["-c", PLAIN], False),
        (PLAIN, ["-i"], False),
    ],
)
def test_a_main_module_is_imported_again_only_if_guarded(
    text: str, words: list[str], may: bool, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], input=text, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(may)]


def test_values_of_other_modules_do_not_need_the_main_module() -> None:
    assert not needs_main((Path.exists, "the text __main__ alone"))
