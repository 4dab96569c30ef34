"""Normalizations by name: what each does, who does so, what it destroys; and the compiled loop of some."""
