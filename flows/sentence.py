"""An error of sar-data is one sentence in a run's log; Prefect would print its traceback three times."""

from __future__ import annotations

import logging

from sar_data.errors import SarDataError

LOGGERS = ("prefect.task_runs", "prefect.flow_runs", "prefect.engine")


class Sentence(logging.Filter):
    """Passes the first record of an error of sar-data as its sentence, and drops the others."""

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
    """Log errors of sar-data as sentences from now on."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(SENTENCE)
