"""Sealed builds: the documents, reading, verification."""
