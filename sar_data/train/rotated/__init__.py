"""Rotated boxes as tensors: their geometry, overlaps, losses and coders, for detection and its metrics.

A rotated box is (centre x, centre y, width, height, degrees from the x axis to its width), in pixels. Angles grow
clockwise as an image is seen, since its y axis points down: as in the index of a build and in our COCO files.
"""
