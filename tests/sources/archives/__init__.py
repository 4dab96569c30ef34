"""Archives as trees: every kind, hostile ones, interrupted ones."""
