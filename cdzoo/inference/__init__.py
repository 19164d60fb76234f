"""Prediction with a trained model: image pairs, test-time augmentation, blocks of large scenes, evaluation."""
