"""Fault suites: bits that rot, files that are lost or in each other's place."""
