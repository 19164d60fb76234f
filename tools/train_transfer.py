"""Train models for real images on generated scenes within a time budget, on any device.

`python tools/train_transfer.py --out FOLDER --minutes 6 --encoder FILE.pth` trains `fc_siam_diff_efficientnet_lite0` from the
ImageNet weights of its encoder. Worker processes generate scenes without end; a pool on the device keeps the latest ones, and
each is seen a few times with other colors, flips and order of the dates. All variants train on the same batches.

`cdzoo train` counts steps over a data set of fixed length and trains one model, so it does none of this.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from scene_pool import COARSE, Pool, SceneStream
from timm.utils import ModelEmaV3
from torch import Tensor, nn

import cdzoo
from cdzoo.cli.main import exit_code
from cdzoo.convert import backbone_from_official
from cdzoo.engine.depthwise import keep_depthwise
from cdzoo.errors import ConfigError
from cdzoo.io.files import write_json
from cdzoo.losses import create_loss
from cdzoo.models.scale import resample
from cdzoo.results import Environment

NAME = "fc_siam_diff_efficientnet_lite0"
VARIANTS: dict[str, dict[str, Any]] = {
    "fine": {},  # the registered model: from stride 2 on
    "base": {"backbone_kwargs": {"out_indices": [1, 2, 3, 4]}, "decoder_kwargs": {"widths": [24, 32, 64]}},  # from stride 4 on
    "concat": {"fusion": "skips", "fusion_kwargs": {"mode": "concat"}},
    "abs": {"fusion": "abs_diff"},  # the coarsest level, too
    "bfa": {"fusion": "bfa", "backbone_kwargs": {"out_indices": [0, 1, 2, 3]}, "decoder_kwargs": {"widths": [24, 48, 64]}},
}


def augment(images: Tensor, masks: Tensor, jitter: float) -> tuple[Tensor, Tensor, Tensor]:
    """Turn, flip, exchange and recolor a batch; returns both dates (B, 3, H, W) and the masks (B, H, W)."""
    for part in torch.arange(len(images), device=images.device).chunk(min(8, len(images))):
        turns, flip = random.randrange(4), random.random() < 0.5
        turned, mask = images[part].rot90(turns, (-2, -1)), masks[part].rot90(turns, (-2, -1))
        images[part], masks[part] = (turned.flip(-1), mask.flip(-1)) if flip else (turned, mask)
    swapped = torch.rand(len(images), 1, 1, 1, 1, device=images.device) < 0.5
    images = torch.where(swapped, images.flip(1), images)
    return _recolor(images[:, 0], jitter), _recolor(images[:, 1], jitter), masks


def _recolor(x: Tensor, jitter: float) -> Tensor:
    """Change brightness, contrast, saturation, color cast, gamma and sharpness of each image (B, 3, H, W) in [0, 1].

    `BatchAugment` of the trainer has no color cast, gamma or sharpness.
    """
    u = (2 * torch.rand(len(x), 8, 1, 1, 1, device=x.device) - 1) * jitter
    x = x * (1 + u[:, 0]) * (1 + 0.4 * u[:, 4:7, 0])
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + u[:, 1]) + mean + 0.3 * u[:, 2]
    gray = x.mean(1, keepdim=True)
    x = (gray + (x - gray) * (1 + u[:, 3])).clamp(0, 1)
    x = (x + 1e-4) ** (1 + u[:, 7])
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    draw = torch.rand(len(x), 1, 1, 1, device=x.device)
    amount = torch.where(draw < 0.15, 1.0, torch.where(draw > 0.85, -0.7, 0.0))
    return (x + amount * (soft - x) + 0.02 * torch.rand_like(draw) * torch.randn_like(x)).clamp(0, 1)


class Trainee:
    """A model with its optimizer and the moving average of its weights."""

    def __init__(self, name: str, options: argparse.Namespace, device: torch.device) -> None:
        self.name = name
        self.model = cdzoo.create_model(NAME, **VARIANTS[name], input_scale=options.input_scale)
        if options.encoder:
            load_encoder(self.model.backbone, options.encoder)
        if options.init:
            from safetensors.torch import load_file

            state = load_file(options.init.format(name))
            self.model.load_state_dict(
                {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
            )
        self.model = self.model.to(device, memory_format=torch.channels_last).train()
        encoder = {id(p) for p in self.model.backbone.parameters()}
        groups = [
            {"params": [p for p in self.model.parameters() if id(p) not in encoder], "peak": options.lr},
            {"params": list(self.model.backbone.parameters()), "peak": options.lr_encoder},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=options.lr, weight_decay=0.01, fused=device.type == "cuda")
        self.average = ModelEmaV3(self.model)  # of the statistics of batch normalization, too
        self.half = options.precision == "bf16"
        if self.half and device.type == "cpu":
            keep_depthwise(self.model)
        self.loss = create_loss("bce+0.5*dice")

    def step(self, parts: Sequence[tuple[Tensor, Tensor, Tensor]], side: int, factor: float) -> Tensor:
        """Train on the parts of a batch, whose crops have different sizes and are seen at the same one; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        with torch.autocast(parts[0][0].device.type, torch.bfloat16, enabled=self.half):
            logits = self.model(
                *(torch.cat([resample(part[date], side / part[date].shape[-1]) for part in parts]) for date in (0, 1))
            )
        loss = torch.zeros((), device=logits.device)
        for found, (_, _, masks) in zip(logits.split([len(part[2]) for part in parts]), parts, strict=True):
            if found.shape[-2:] != masks.shape[-2:]:  # as the probabilities of predictions
                found = F.interpolate(found.float(), masks.shape[-2:], mode="bilinear", antialias=True)
            loss = loss + len(masks) / len(logits) * self.loss(found, masks)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.detach()

    def save(self, folder: Path) -> None:
        """Write the averaged weights, kernels in half precision, and the config."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        state = {key: value.half() if value.ndim > 1 else value for key, value in self.average.module.state_dict().items()}
        save_file({key: value.cpu().contiguous() for key, value in state.items()}, folder / "new.safetensors")
        (folder / "new.safetensors").replace(folder / "model.safetensors")
        (folder / "config.json").write_text(self.model.config.to_json(), encoding="utf-8")


def load_encoder(backbone: nn.Module, file: str) -> None:
    """Load ImageNet weights of EfficientNet-Lite0 as published by its package, strictly; the classifier is left out."""
    weights = backbone_from_official("timm/tf_efficientnet_lite0", torch.load(file, map_location="cpu", weights_only=True))
    backbone.load_state_dict({key: weights[key] for key in backbone.state_dict()}, strict=True)


def normalized(x: Tensor) -> Tensor:
    """Normalize images in [0, 1] with a mean and a deviation of 0.5."""
    return (2 * x - 1).contiguous(memory_format=torch.channels_last)


def batch_shares(options: argparse.Namespace) -> list[tuple[int, int, bool | None]]:
    """Return the number of crops, their side in pixels and their kind of each part of a batch."""
    if options.plain + options.coarse > 1:
        raise ConfigError(f"--plain {options.plain:.3g} and --coarse {options.coarse:.3g} are fractions of more than all scenes")
    if options.coarse_scale == 1:
        return [(options.batch, options.crop, None)]
    coarse = round(options.batch * options.coarse)
    if not 0 < coarse < options.batch:
        raise ConfigError(f"--coarse-scale needs crops of both kinds: {coarse} of {options.batch} are coarse; change --coarse")
    return [(options.batch - coarse, options.crop, False), (coarse, round(options.crop / options.coarse_scale), True)]


def describe(options: argparse.Namespace, step: int, made: int, seconds: float, device: torch.device) -> dict[str, Any]:
    """Return what describes the training, for the results of the weights."""
    settings = {key: value for key, value in vars(options).items() if key not in ("out", "init", "variants", "encoder")}
    settings["encoder"] = options.encoder and Path(options.encoder).name
    facts = {"seed": options.seed, "step": step, "scenes": made, "seconds": round(seconds), "training": settings}
    return {**facts, "data": {"data": "synthetic_wide"}, "environment": Environment.current(device).to_dict()}


def train(options: argparse.Namespace) -> None:
    """Train until the time is up; save every minute."""
    start = time.monotonic()
    shares = batch_shares(options)
    random.seed(options.seed)
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(1)
    stream = SceneStream(options.size, options.group, options.seed, options.plain, options.coarse, options.coarse_pixels)
    pool = Pool(stream, options.workers, options.pool, options.reuse, device)  # the workers start here
    trainees = [Trainee(name, options, device) for name in options.variants]
    options.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(vars(options), default=str), f"torch {torch.__version__}, {device}", flush=True)
    budget, step, saved = 60 * options.minutes, 0, time.monotonic()
    with (options.out / "log.csv").open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(["seconds", "step", "made", "pairs_per_s", "made_per_s", *options.variants])
        sums, seen, mark = torch.zeros(len(trainees), device=device), (0, 0), start
        while True:
            done = (time.monotonic() - start) / budget if not options.steps else step / options.steps
            if done >= 1:
                break
            factor = min(1.0, done / 0.06 + 0.01) * (0.5 * (1 + math.cos(math.pi * max(0.0, done - 0.06) / 0.94)) + 1e-3)
            parts = [augment(*pool.draw(count, crop, coarse), options.jitter) for count, crop, coarse in shares]
            parts = [(normalized(x1), normalized(x2), masks) for x1, x2, masks in parts]
            sums += torch.stack([trainee.step(parts, round(options.crop * options.input_scale), factor) for trainee in trainees])
            step += 1
            if step % 4 == 0:
                for trainee in trainees:
                    trainee.average.decay = min(options.ema, step / (step + 40))
                    trainee.average.update(trainee.model)
            if step % options.every == 0:
                now = time.monotonic()
                losses = (sums / options.every).tolist()
                rates = (pool.drawn - seen[0]) / (now - mark), (pool.made - seen[1]) / (now - mark)
                log.writerow(
                    [round(now - start, 1), step, pool.made, *(round(r, 1) for r in rates), *(round(x, 4) for x in losses)]
                )
                file.flush()
                print(f"{now - start:.0f} s, step {step}, {rates[0]:.0f} pairs/s ({rates[1]:.0f} new), loss {losses}", flush=True)
                sums.zero_()
                seen, mark = (pool.drawn, pool.made), now
            if time.monotonic() - saved > 60:
                for trainee in trainees:
                    trainee.save(options.out / trainee.name)
                saved = time.monotonic()
    for trainee in trainees:
        trainee.save(options.out / trainee.name)
        facts = describe(options, step, pool.made, time.monotonic() - start, device)
        write_json(options.out / trainee.name / "training.json", facts)
    print(f"{step} steps of {options.batch}, {pool.made} scenes, {time.monotonic() - start:.0f} s")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights and the log")
    parser.add_argument("--encoder", help="ImageNet weights of the encoder, efficientnet-lite0-57934424.pth")
    parser.add_argument("--init", help="weights to start from; {} is replaced by the variant")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=["fine"])
    parser.add_argument("--minutes", type=float, default=6, help="time budget, after which the learning rate is zero")
    parser.add_argument("--steps", type=int, default=0, help="number of steps, instead of the time budget")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--size", type=int, default=256, help="side of the generated scenes")
    parser.add_argument("--plain", type=float, default=1 / 6, help="fraction of scenes of the default style")
    parser.add_argument("--coarse", type=float, default=0.0, help="fraction of further scenes of coarse pixels")
    parser.add_argument("--coarse-pixels", type=float, nargs="+", default=list(COARSE), help="meters per pixel of these")
    parser.add_argument("--coarse-scale", type=float, default=1.0, help="further factor of their size for the network")
    parser.add_argument("--input-scale", type=float, default=1.0, help="factor of the size of images for the network")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--group", type=int, default=8, help="scenes that a worker sends at once")
    parser.add_argument("--pool", type=int, default=4096, help="scenes kept on the device")
    parser.add_argument("--reuse", type=float, default=3.0, help="how often a scene is seen")
    parser.add_argument("--jitter", type=float, default=0.25)
    precision = "bf16" if torch.cuda.is_available() else "fp32"
    parser.add_argument("--precision", choices=["bf16", "fp32"], default=precision, help="bf16 by default on a GPU")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--lr-encoder", type=float, default=3e-4)
    parser.add_argument("--ema", type=float, default=0.992, help="decay of the average, every fourth step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=20, help="steps between lines of the log")
    train(parser.parse_args())


if __name__ == "__main__":
    sys.exit(exit_code("train_transfer", main))
