"""Split policies: pure functions of the index, and the leakage that shows how honest a split is."""
