"""Rasters from bytes: nothing here opens a path, and nothing from outside is executed."""
