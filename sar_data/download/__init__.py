"""Downloads that survive: resumed, verified, recorded."""
