"""The satellite products that a dataset's records were cut from, found again in public catalogues, and fetched."""
