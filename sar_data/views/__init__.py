"""Pictures of a build."""
