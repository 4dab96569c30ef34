"""Damaged and hostile files by the thousand: every reader gives a verdict that names the file, and nothing else."""
