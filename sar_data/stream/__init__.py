"""Streaming: the samples of sealed builds in training order, in plain numpy."""
