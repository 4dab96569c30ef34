"""Exports and loaders, read by the packages they are for, each in an environment of its own: `make test-peers`."""
