"""What a sealed build says, in the documents of other tools."""
