"""Sources of raw data as one read-only tree."""
