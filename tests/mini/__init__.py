"""Small sources, builds and readers that the suites share."""
