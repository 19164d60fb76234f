"""Generated scenes for `tools/train_transfer.py`: worker processes make them without end, and a pool keeps the latest ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from cdzoo.data.synthetic import SyntheticScenes

COARSE = (0.7, 0.8, 0.9, 1.0)
"""Meters per pixel of coarse scenes."""

Group = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]


class SceneStream(IterableDataset[Group]):
    """Endless groups of scenes: images (N, 2, 3, H, W) uint8, masks (N, H, W) uint8 and whether they are coarse (N,).

    Args:
        size: Side of the scenes in pixels.
        group: Number N of scenes of a group.
        seed: Seed; every worker generates other scenes.
        plain: Fraction of scenes of the default style.
        coarse: Fraction of scenes of style "wide" with coarse pixels, in addition to those that have them by chance.
        pixels: Meters per pixel of the coarse scenes.
    """

    def __init__(
        self, size: int, group: int, seed: int, plain: float, coarse: float = 0.0, pixels: Sequence[float] = COARSE
    ) -> None:
        self.size, self.group, self.seed, self.plain, self.coarse, self.pixels = size, group, seed, plain, coarse, pixels

    def __iter__(self) -> Iterator[Group]:
        """Generate groups of scenes."""
        torch.set_num_threads(1)
        info = get_worker_info()
        worker, count = (info.id, info.num_workers) if info else (0, 1)
        length = 1 << 40
        wide = SyntheticScenes(length, self.size, seed=self.seed, style="wide")
        plain = SyntheticScenes(length, self.size, seed=self.seed)
        coarse = [SyntheticScenes(length, self.size, seed=self.seed, style="wide", resolution=r) for r in self.pixels]
        index = worker
        while True:
            samples, kinds = [], []
            for _ in range(self.group):
                draw = np.random.default_rng([self.seed, index, 7]).random()
                kinds.append(self.plain <= draw < self.plain + self.coarse)
                scenes = coarse[index % len(coarse)] if kinds[-1] else plain if draw < self.plain else wide
                samples.append(scenes[index])
                index += count
            images = np.stack([torch.stack(list(sample.images)).numpy() for sample in samples])
            yield images, np.stack([sample.target["mask"].byte().numpy() for sample in samples]), np.array(kinds)


class Pool:
    """Ring buffer of scenes on the device, filled by worker processes.

    Args:
        stream: Scenes.
        workers: Number of processes.
        capacity: Number of scenes kept.
        reuse: How many times a scene is drawn on average before the next ones are waited for.
        device: Device of the buffer.
    """

    def __init__(self, stream: SceneStream, workers: int, capacity: int, reuse: float, device: torch.device) -> None:
        # Arrays travel through pipes: shared memory, which tensors need, is small on some machines.
        loader = DataLoader(stream, None, num_workers=workers, collate_fn=tuple, prefetch_factor=4 if workers else None)
        self.groups, self.reuse, self.device, self.group = iter(loader), reuse, device, stream.group
        self.images = torch.zeros(capacity, 2, 3, stream.size, stream.size, dtype=torch.uint8, device=device)
        self.masks = torch.zeros(capacity, stream.size, stream.size, dtype=torch.uint8, device=device)
        self.coarse = torch.zeros(capacity, dtype=torch.bool, device=device)
        self.made = self.drawn = 0

    def add(self) -> None:
        """Wait for the next group of scenes and store it."""
        images, masks, coarse = map(torch.from_numpy, next(self.groups))
        where = (self.made + torch.arange(len(images))) % len(self.images)
        self.images[where.to(self.device)] = images.to(self.device, non_blocking=True)
        self.masks[where.to(self.device)] = masks.to(self.device, non_blocking=True)
        self.coarse[where.to(self.device)] = coarse.to(self.device)
        self.made += len(images)

    def rows(self, coarse: bool | None) -> Tensor:
        """Return the indices of the scenes stored, of all or of one kind."""
        kinds = self.coarse[: self.made]
        return (torch.ones_like(kinds) if coarse is None else kinds == coarse).nonzero()[:, 0]

    def draw(self, count: int, crop: int, coarse: bool | None = None) -> tuple[Tensor, Tensor]:
        """Return random crops: images (B, 2, 3, crop, crop) in [0, 1] and masks (B, crop, crop), of all scenes or of one kind."""
        while self.made < min(len(self.images), 4 * count) or self.drawn + count > self.reuse * self.made:
            self.add()
        while not len(rows := self.rows(coarse)):
            self.add()
        self.drawn += count
        rows = rows[torch.randint(len(rows), (count,), device=self.device)]
        room = self.images.shape[-1] - crop
        images, masks = self.images[rows], self.masks[rows]
        if room:
            top, left = torch.randint(room + 1, (2, count)).tolist()
            places = list(zip(range(count), top, left, strict=True))
            images = torch.stack([images[i, ..., y : y + crop, x : x + crop] for i, y, x in places])
            masks = torch.stack([masks[i, y : y + crop, x : x + crop] for i, y, x in places])
        return images.float() / 255, masks.long()
