"""Scenes are looked up and fetched from real servers on loopback that speak the catalogues' protocols."""
