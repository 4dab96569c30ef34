"""Find the satellite products that a dataset's records were cut from in public catalogues, and fetch them."""
