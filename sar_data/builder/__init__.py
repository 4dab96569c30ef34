"""The stages of a build, each from document to document."""
