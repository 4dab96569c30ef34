"""The laws of streaming."""
