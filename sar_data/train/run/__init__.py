"""One run: loop, step, evaluation, checkpoint, folder, ranks."""
