"""What a run is made of: loop, step, evaluation, checkpoint, folder, outcome."""
