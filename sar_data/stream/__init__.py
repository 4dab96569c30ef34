"""Streaming: a sealed build as an endless, exactly resumable sequence of batches; numpy only."""
