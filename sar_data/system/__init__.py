"""Files, locks and processes of the operating system, under the rules that every room keeps."""
