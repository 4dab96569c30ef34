"""What is true of each dataset, one file a dataset: every module here exposes one PIPELINE."""
