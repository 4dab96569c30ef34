"""The parts of a run: loop, step, evaluation, checkpoint, folder, outcome."""
