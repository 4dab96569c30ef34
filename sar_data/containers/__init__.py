"""Containers of other programs: how they are laid out, and how they are read without executing anything in them."""
