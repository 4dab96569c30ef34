"""sar-data: SAR datasets as sealed, training-ready builds.

Importing the package loads nothing heavy; each room is imported where it is used.
"""

__version__ = "0.2.0"
