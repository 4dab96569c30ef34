"""Archives as read-only trees: found, checked, read in place."""
