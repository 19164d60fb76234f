"""Constants shared by data, training, evaluation and inference."""

RGB = tuple[int, int, int]
"""Color, with values from 0 to 255."""

IGNORE_INDEX = 255
"""Value of targets, masks and 8-bit maps for pixels without a label or without data."""

MIN_SIZE = 32
"""Smallest height and width of an image, in pixels."""
WINDOW_SIDE = 512
"""Default side of the windows in which images are predicted, in pixels. Smaller images are predicted whole."""
WINDOW_BATCH = 4
"""Default number of windows predicted at once."""
MIN_SCALE, MAX_SCALE = 0.1, 8.0
"""Range of the factor by which images are enlarged for a model."""
DEFAULT_WEIGHTS = "fc_siam_diff_efficientnet_lite0.synthetic_wide_r358"
"""Weights that commands and the page in the browser use by default."""
