"""Rotated boxes as tensors: their geometry, overlaps, losses and coders, of which detection and its figures are made.

A rotated box is (centre x, centre y, width, height, degrees from the x axis to its width), in pixels. Angles grow
clockwise as an image is seen, since its y axis points down: as in the index of a build and in COCO files of ours.
"""
