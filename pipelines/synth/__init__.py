"""Generators of miniature archives in the published layouts, found by their dataset's module name."""
