"""The compiled loops of the stream."""
