"""Prediction: image pairs, blocks of large scenes, test-time augmentation, and evaluation on data sets."""
