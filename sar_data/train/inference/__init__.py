"""What a finished run is good for: its model in Python, evaluated on any build, and its features.

The room is called inference after what a trained model does: finished.py opens a run, model.py has its network,
evaluation.py judges it on a split, embedding.py keeps its features.
"""
