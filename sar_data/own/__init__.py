"""Data of one's own: a declaration says what lies in a folder, and becomes a pipeline."""
