"""Constants shared by data, training, evaluation and inference."""

IGNORE_INDEX = 255
"""Value of targets, masks and 8-bit maps for pixels without a label or without data."""

MIN_SIZE = 32
"""Smallest height and width of an image, in pixels."""
