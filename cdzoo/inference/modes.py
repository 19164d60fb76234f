"""`evaluating`: evaluation mode within a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; at the end, also after an error, it returns to the mode it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
