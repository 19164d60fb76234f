"""`Run`: the loop over steps, validation, checkpoints and the best weights."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cdzoo.data.augment import PairAugment
from cdzoo.data.protocols import get_protocol
from cdzoo.data.sampler import Drawn, Samples, StepSampler
from cdzoo.engine.checkpoint import forget_checkpoints, load_checkpoint, save_checkpoint
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.interrupt import Interruption
from cdzoo.engine.log import Logbook, ProgressLine
from cdzoo.engine.pictures import validation_picture
from cdzoo.engine.schedule import lr_factor
from cdzoo.engine.setup import Setup, lighten, make_fabric, worker_count
from cdzoo.engine.step import Stepper
from cdzoo.errors import ConfigError, InputError, MissingDependencyError
from cdzoo.inference.evaluate import evaluate
from cdzoo.io.files import file_sha256, replace_atomically, write_json
from cdzoo.models.detector import ChangeDetector
from cdzoo.protocol import Protocol
from cdzoo.results import RESULTS_FILE, environment
from cdzoo.weights.folder import WEIGHTS_FILE, save_pretrained


class Run:
    """One training run; see `cdzoo.engine.fit.train` for the arguments."""

    def __init__(
        self,
        model: ChangeDetector,
        train_samples: Samples,
        val_samples: Samples,
        cfg: TrainCfg,
        out: Path | None,
        protocol: Protocol,
        facts: dict[str, Any],
    ) -> None:
        self.model, self.train_samples, self.val_samples = model, train_samples, val_samples
        self.cfg, self.out, self.protocol, self.facts = cfg, out, protocol, facts
        self.best: dict[str, Any] = {"score": -1.0}
        self.best_weights: dict[str, Tensor] = {}
        self.plateau = {"factor": 1.0, "stale": 0.0}
        self.loss_sum, self.loss_count = 0.0, 0

    def train(self, resume: bool) -> dict[str, Any]:
        """Run to the end, or until interrupted, and leave the best weights in the model."""
        cfg = self.cfg
        if cfg.deterministic:
            torch.use_deterministic_algorithms(True)
        try:
            self.fabric = make_fabric(cfg)
            self.fabric.launch()
            self.setup = Setup(self.fabric, self.model, cfg)
            self._loop(resume)
        finally:
            if cfg.deterministic:
                torch.use_deterministic_algorithms(False)
        self.model.load_state_dict(self.best_weights)
        self.model.cpu().eval()
        return self.best["summary"]

    def _loop(self, resume: bool) -> None:
        cfg, fabric = self.cfg, self.fabric
        stepper = Stepper(fabric, self.model, self.setup.objective, self.setup.optimizer, cfg)
        probe = self._sampler(0, 0)
        self.steps_per_epoch = probe.steps_per_epoch
        self.total = cfg.epochs * self.steps_per_epoch
        step = self._restore(stepper) if resume else 0
        if self.out is not None and fabric.is_global_zero and not resume:
            forget_checkpoints(self.out)
        leading = self.out if fabric.is_global_zero else None
        self.logbook = Logbook(leading, step, cfg.tensorboard) if leading else None
        self.line = ProgressLine(self.total, step, fabric.device, self.setup.scans, cfg.progress and fabric.is_global_zero)
        batches = self._batches(self._sampler(step, self.total))
        try:
            with Interruption() as interruption:
                while step < self.total:
                    self._one_step(step, stepper, batches, probe.batch_size)
                    step += 1
                    if step % self.steps_per_epoch == 0:
                        self._end_epoch(step, stepper)
                        self._checkpoint(step, stepper)
                    elif cfg.checkpoint_every and step % cfg.checkpoint_every == 0:
                        self._checkpoint(step, stepper)
                    if self.setup.any(interruption.received is not None):
                        self._checkpoint(step, stepper)
                        interruption.stop(step, self.out)
            if not self.best_weights:  # a finished run that was continued without new epochs
                self._validate(step)
                self._checkpoint(step, stepper)
        finally:
            self.line.close()

    def _one_step(self, step: int, stepper: Stepper, batches: Iterator[dict[str, Any]], pairs: int) -> None:
        began = time.perf_counter()
        micro = [next(batches) for _ in range(self.cfg.accumulate)]
        waited = time.perf_counter() - began
        self.model.train()
        result = stepper(step, self._lr(step), micro)
        if not result.skipped:
            self.setup.average_in()
            self.loss_sum, self.loss_count = self.loss_sum + result.loss, self.loss_count + 1
        self.line.step(pairs, waited, None if result.skipped else result.loss, stepper.skipped)

    def _end_epoch(self, step: int, stepper: Stepper) -> None:
        epoch = step // self.steps_per_epoch
        row: dict[str, Any] = {
            "step": step,
            "epoch": epoch,
            "lr": self._lr(step - 1),
            "loss": self.loss_sum / self.loss_count if self.loss_count else float("nan"),
            "skipped_steps": stepper.skipped,
            "pairs_per_s": self.line.rate(),
            "data_wait": self.line.waiting(),
        }
        self.loss_sum, self.loss_count = 0.0, 0
        if epoch % self.cfg.validate_every == 0 or step == self.total:
            summary = self._validate(step)
            row |= {name: summary[name] for name in ("precision", "recall", "f1", "iou", "oa", "kappa", "mean_image_f1")}
            row["best_threshold"] = summary["best_threshold"]
        if self.logbook is not None:
            self.logbook.write(**row)
        if self.cfg.pictures_every and epoch % self.cfg.pictures_every == 0 and self.logbook is not None and self.out:
            picture = validation_picture(self.setup.judged(), self.val_samples, self.protocol, self.fabric.device)
            folder = self.out / "pictures"
            folder.mkdir(exist_ok=True)
            with replace_atomically(folder / f"epoch_{epoch:04d}.png") as temporary:
                picture.save(temporary)
            self.logbook.picture("validation", lighten(picture), step)
        self.line.reset()

    def _validate(self, step: int) -> dict[str, Any]:
        self.setup.agree()
        fabric, judged = self.fabric, self.setup.judged()
        counts = evaluate(
            judged,
            self.val_samples,
            self.protocol,
            fabric.device,
            max(1, self.cfg.batch_size // fabric.world_size),
            worker_count(self.cfg, fabric.device),
            fabric.global_rank,
            fabric.world_size,
            {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.cfg.precision),
        )
        summary = counts.summary()
        self.line.f1 = summary["f1"]
        if summary["tp"] + summary["fp"] == 0 and fabric.is_global_zero:
            warnings.warn(
                f"after step {step} no pixel of the validation pairs is called changed (highest probability below "
                f"{self.protocol.threshold}). Early on this is usual; if it stays, the learning rate is too high or too low, "
                f"change is too rare for the loss (try loss=bce+dice or change_weight=5), or the masks are empty "
                f"(cdzoo data check shows their share of change)",
                stacklevel=2,
            )
        score = summary[self.protocol.metric]
        if score > self.best["score"]:
            self.plateau["stale"] = 0
            self.best = {"score": score, "step": step, "epoch": step // self.steps_per_epoch, "summary": summary}
            self.best_weights = _copied(judged)
        else:
            self.plateau["stale"] += 1
            if self.plateau["stale"] >= self.cfg.lr_decay_epochs:
                self.plateau = {"factor": self.plateau["factor"] * self.cfg.lr_decay, "stale": 0}
        return summary

    def _write_best(self, out: Path) -> None:
        save_pretrained(self.setup.judged(), out)
        summary = self.best["summary"]
        results = {
            "model": self.model.config.name,
            "split": self.protocol.selection_split,
            "step": self.best["step"],
            "epoch": self.best["epoch"],
            "seed": self.cfg.seed,
            "scores": summary,
            "training": self.cfg.fixed() | {"epochs": self.cfg.epochs},
            "environment": environment(self.fabric.device) | {"processes": self.fabric.world_size},
            "weights_sha256": file_sha256(out / WEIGHTS_FILE),
            "provenance": "measured",
            **self.facts,
        }
        write_json(out / RESULTS_FILE, results)

    def _lr(self, step: int) -> float:
        cfg = self.cfg
        factor = lr_factor(
            step,
            self.total,
            cfg.schedule,
            cfg.warmup_steps,
            cfg.power,
            decay=cfg.lr_decay,
            decay_steps=cfg.lr_decay_epochs * self.steps_per_epoch,
        )
        return cfg.lr * factor * (self.plateau["factor"] if cfg.schedule == "plateau" else 1.0)

    def _checkpoint(self, step: int, stepper: Stepper) -> None:
        self.setup.agree()
        if self.fabric.is_global_zero and self.out is not None:
            state = {
                "optimizer": self.setup.optimizer.state_dict(),
                "scaler": self.setup.scaler_state(),
                "skipped": stepper.skipped,
                "bad_in_a_row": stepper.bad_in_a_row,
                "loss": [self.loss_sum, self.loss_count],
                "plateau": dict(self.plateau),
                "best": self.best,
                "settings": self.cfg.fixed(),
                "samples": len(self.train_samples),
                "data": self._data_hash(),
            }
            save_checkpoint(self.out, step, self.model.state_dict(), self.setup.average_state(), state)
            # After the checkpoint, which refuses weights that are not finite, and from which a killed run writes them again.
            if self.best.get("step") == step:
                self._write_best(self.out)
        self.fabric.barrier()

    def _restore(self, stepper: Stepper) -> int:
        assert self.out is not None
        checkpoint = load_checkpoint(self.out)
        state = checkpoint.state
        changed = {
            name: (state["settings"].get(name), value)
            for name, value in self.cfg.fixed().items()
            if state["settings"].get(name) != value
        }
        if changed:
            shown = ", ".join(f"{name} was {old!r}, now {new!r}" for name, (old, new) in changed.items())
            raise ConfigError(
                f"{self.out}: a run is continued with its own settings: {shown}. Start a new run with another --out"
            )
        if state["samples"] != len(self.train_samples) or state["data"] != self._data_hash():
            raise ConfigError(
                f"{self.out}: the run was trained on {state['samples']} pairs, now there are {len(self.train_samples)}, "
                f"or others, or under another protocol; give it the same data, or start a new run with another --out"
            )
        try:
            self.model.load_state_dict(checkpoint.weights)
        except RuntimeError as error:
            raise ConfigError(f"{self.out}: the run is of another model than {self.model.config.name} ({error})") from error
        self.setup.optimizer.load_state_dict(state["optimizer"])
        self.setup.load(checkpoint.average, state["scaler"])
        stepper.skipped, stepper.bad_in_a_row = state["skipped"], state["bad_in_a_row"]
        self.loss_sum, self.loss_count = state["loss"]
        self.plateau = dict(state["plateau"])
        self._restore_best(state["best"], checkpoint.step)
        return checkpoint.step

    def _restore_best(self, best: dict[str, Any], step: int) -> None:
        from safetensors.torch import load_file

        assert self.out is not None
        if best.get("step") == step:  # they are in this checkpoint; the run may have been killed before it wrote them
            self.best, self.best_weights = best, _copied(self.setup.judged())
            if self.fabric.is_global_zero:
                self._write_best(self.out)
        elif "step" in best and (self.out / WEIGHTS_FILE).is_file():
            self.best, self.best_weights = best, load_file(self.out / WEIGHTS_FILE)

    def _data_hash(self) -> str:
        return str(self.facts.get("protocol", {}).get("hash", ""))

    def _sampler(self, first: int, last: int) -> StepSampler:
        cfg, fabric = self.cfg, self.fabric
        return StepSampler(
            len(self.train_samples), cfg.batch_size, cfg.seed, first, last, fabric.global_rank, fabric.world_size, cfg.accumulate
        )

    def _batches(self, sampler: StepSampler) -> Iterator[dict[str, Any]]:
        cfg = self.cfg
        augment = PairAugment(cfg.crop, cfg.flips, cfg.rotate, (cfg.scale_min, cfg.scale_max), cfg.swap_dates)
        workers = worker_count(cfg, self.fabric.device)
        return iter(
            DataLoader(
                Drawn(self.train_samples, augment),
                batch_sampler=sampler,
                num_workers=workers,
                pin_memory=self.fabric.device.type == "cuda",
                # Python's and torch's own generators are not used for samples, but workers are seeded from them.
                generator=torch.Generator().manual_seed(cfg.seed),
                prefetch_factor=4 if workers else None,
            )
        )


def _copied(model: ChangeDetector) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def train(
    model: ChangeDetector,
    train_samples: Samples,
    val_samples: Samples,
    cfg: TrainCfg,
    out: str | Path | None = None,
    protocol: Protocol | None = None,
    facts: dict[str, Any] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Train `model` in place and keep the weights that do best on the validation pairs.

    With `out`, the folder holds the best weights (`config.json`, `model.safetensors`, `results.json`), the log (`log.csv`),
    pictures, and the last two checkpoints. A run that was interrupted in any way and is continued with `resume` ends with the
    same weights as one that was not, bit for bit on one machine with `cfg.deterministic`. Several processes are used when
    `cfg.devices` or `cfg.nodes` say so, or when torchrun or SLURM started this one.

    Args:
        model: The detector; ends in evaluation mode on the CPU with its best weights (the averaged ones with `cfg.ema`).
        train_samples: Pairs to learn from.
        val_samples: Pairs to choose the weights on; samples may differ in size.
        cfg: Settings.
        out: Folder of the run; nothing is written without one.
        protocol: How to validate, and by which score to choose; `folder` by default.
        facts: Further entries for `results.json`, such as what the data are.
        resume: Continue from the last checkpoint in `out`.

    Returns:
        The summary of the best validation, see `ChangeCounts.summary`.

    Raises:
        MissingDependencyError: Lightning or torchmetrics is not installed.
        InputError: There is nothing to train or validate on, or nothing to continue.
        ConfigError: The settings cannot be used together, or are not those of the run that is continued.
        TrainingError: The loss or the gradients were not finite for too many steps.
    """
    _check_installed()

    if not len(train_samples) or not len(val_samples):
        raise InputError("there are no pairs to train or validate on")
    if resume and out is None:
        raise InputError("resume needs the folder of the run: out=FOLDER")
    if out is not None:
        model.config.to_json()  # a model that cannot be saved must fail now, not after hours
        Path(out).mkdir(parents=True, exist_ok=True)
    run = Run(model, train_samples, val_samples, cfg, Path(out) if out else None, protocol or get_protocol(None), facts or {})
    return run.train(resume)


def _check_installed() -> None:
    try:
        import lightning.fabric  # noqa: F401  # miss them here, with the hint
        import torchmetrics  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs Lightning and torchmetrics: pip install 'cdzoo[train]' ({error})"
        ) from error
