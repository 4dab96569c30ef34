"""Band statistics: what units mean, mergeable sums, the compiled loop."""
