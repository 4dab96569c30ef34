"""Where raw data come from, presented as one read-only tree."""
