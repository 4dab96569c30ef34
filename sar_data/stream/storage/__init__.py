"""Where the bytes of samples lie, container by container."""
