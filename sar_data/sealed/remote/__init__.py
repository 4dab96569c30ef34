"""Builds behind a URL: fetched, verified, cached."""
