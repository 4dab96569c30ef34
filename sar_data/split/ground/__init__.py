"""Where images lie: their footprints in frames of reference, compared with each other, and what splits share so."""
