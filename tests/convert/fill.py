"""Weights and images that are functions of a name or a seed, the same for official code and for cdzoo."""

import zlib

import numpy as np
import torch


def weight(key, shape):
    """Return the values of the entry `key` of a state dict: normal numbers, seeded by the key and scaled by its role."""
    role = key.split(".")[-1]
    if role == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    normal = _normal(zlib.crc32(key.encode()), shape)
    tenth = np.float32(0.1) * normal
    if role in ("A_log", "A_logs"):
        values = np.log(np.arange(1, shape[-1] + 1, dtype=np.float32)) + np.float32(0.05) * normal
    elif role == "running_var":
        values = 1 + np.abs(tenth)
    elif role == "dt_projs_bias":
        values = tenth - 3
    elif role.endswith("weight") and len(shape) > 1:
        values = normal * np.float32(1 / np.sqrt(np.prod(shape[1:], dtype=np.float64)))
    elif role in ("D", "Ds") or (role == "weight" and len(shape) == 1):
        values = 1 + tenth
    else:  # biases, running means, position embeddings
        values = tenth
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def images(size, batch=2):
    """Return the images of both dates, (batch, 3, size, size)."""
    return tuple(torch.from_numpy(_normal(seed, (batch, 3, size, size))) for seed in (1, 2))


def _normal(seed, shape):
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(tuple(shape)).astype(np.float32)
