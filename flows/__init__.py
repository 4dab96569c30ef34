"""Operation: when, where, how many at once and what to retry; the work itself is sar_data's."""
