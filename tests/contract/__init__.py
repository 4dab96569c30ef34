"""Law books: a dataset, a format or a runner inherits the class that holds its laws."""
