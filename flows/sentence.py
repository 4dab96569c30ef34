"""A failure that sar-data explains is one sentence in a run's log, where Prefect would print its traceback thrice."""

from __future__ import annotations

import logging

from sar_data.errors import SarDataError

LOGGERS = ("prefect.task_runs", "prefect.flow_runs", "prefect.engine")


class Sentence(logging.Filter):
    """Lets the first record of an explained error through as its sentence, and none of the others."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if not isinstance(error, SarDataError):
            return True
        if vars(error).get("logged"):
            return False
        vars(error)["logged"] = True
        record.msg, record.args, record.exc_info = str(error), (), None
        return True


SENTENCE = Sentence()


def explain() -> None:
    """Let this process log explained errors as sentences from now on."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(SENTENCE)
