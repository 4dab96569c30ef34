"""Reports: a sealed build, or finished runs, as one page that needs nothing else."""
