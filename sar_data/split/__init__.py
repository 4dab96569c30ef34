"""Split policies: pure functions of the index, and the score that tells how honest a split is."""
