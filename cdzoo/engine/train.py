"""`train`: a model, pairs, and a folder that holds the result."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any, cast

from torch.utils.data import DataLoader, Dataset

from cdzoo.data.transforms import Augmented, PairAugment, Samples
from cdzoo.engine.settings import TrainCfg
from cdzoo.errors import InputError, MissingDependencyError
from cdzoo.files import replace_atomically
from cdzoo.hub import save_pretrained
from cdzoo.metrics import Confusion
from cdzoo.models.detector import ChangeDetector

RESULTS_FILE = "results.json"


def train(
    model: ChangeDetector,
    train_samples: Samples,
    val_samples: Samples,
    cfg: TrainCfg,
    out: str | Path | None = None,
    facts: dict[str, Any] | None = None,
) -> Confusion:
    """Train `model` in place and keep the weights of the best validation F1.

    Args:
        model: The detector; ends in evaluation mode on the CPU with its best weights.
        train_samples: Pairs to learn from.
        val_samples: Pairs to select the weights on; read one by one, so any sizes will do.
        cfg: Settings.
        out: Folder for `config.json`, `model.safetensors` and `results.json`, written whenever the validation improves.
        facts: Further entries for `results.json`, such as what the validation pairs are.

    Returns:
        The pooled confusion of the best weights on `val_samples`.

    Raises:
        MissingDependencyError: Lightning or torchmetrics is not installed.
        InputError: There is nothing to train on.
        TrainingError: The loss became infinite or NaN.
    """
    lightning = _import_lightning()
    from cdzoo.engine.module import ChangeModule
    from cdzoo.engine.progress import ProgressLine

    if not len(train_samples) or not len(val_samples):
        raise InputError("there are no pairs to train or validate on")
    if out is not None:
        model.config.to_json()  # a model that cannot be saved must fail now, not after hours
        Path(out).mkdir(parents=True, exist_ok=True)
    best: dict[str, Any] = {"f1": -1.0}

    def keep_if_better(confusion: Confusion) -> None:
        if confusion.f1 <= best["f1"]:
            return
        state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        best.update(f1=confusion.f1, confusion=confusion, state=state, epoch=trainer.current_epoch + 1)
        if out is not None:
            save_pretrained(model, out)
            _write_results(Path(out) / RESULTS_FILE, model, cfg, best, facts or {})

    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    module = ChangeModule(model, cfg.lr, threshold=cfg.threshold, on_validation=keep_if_better)
    trainer = lightning.Trainer(
        accelerator=cfg.device,
        devices=1,
        max_epochs=cfg.epochs,
        check_val_every_n_epoch=min(cfg.validate_every, cfg.epochs),
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        callbacks=[ProgressLine()] if cfg.progress else [],
        enable_progress_bar=False,
    )
    trainer.fit(module, *_loaders(train_samples, val_samples, cfg))
    if "state" not in best:  # stopped by hand before the first validation
        raise InputError("training was stopped before its first validation; nothing was kept")
    model.load_state_dict(best["state"])
    model.cpu().eval()
    confusion: Confusion = best["confusion"]
    return confusion


def _loaders(train_samples: Samples, val_samples: Samples, cfg: TrainCfg) -> tuple[DataLoader[Any], DataLoader[Any]]:
    count = len(train_samples)
    options: dict[str, Any] = {"num_workers": cfg.workers, "persistent_workers": cfg.workers > 0}
    training = DataLoader(
        Augmented(train_samples, PairAugment(cfg.crop)),
        batch_size=min(cfg.batch_size, count),
        shuffle=True,
        drop_last=count > cfg.batch_size,  # a last batch of one pair would unsettle the batch norms
        **options,
    )
    return training, DataLoader(cast("Dataset[Any]", val_samples), batch_size=1, **options)


def _write_results(path: Path, model: ChangeDetector, cfg: TrainCfg, best: dict[str, Any], facts: dict[str, Any]) -> None:
    results = {
        "model": model.config.name,
        "epoch": best["epoch"],
        "scores": best["confusion"].to_dict(),
        "training": {name: getattr(cfg, name) for name in ("epochs", "batch_size", "lr", "crop", "seed", "threshold")},
        **facts,
    }
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _import_lightning() -> Any:
    try:
        import lightning
        import torchmetrics  # noqa: F401  # the module needs it; miss it here, with the hint
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs Lightning and torchmetrics: pip install 'cdzoo[train]' ({error})"
        ) from error
    # One line per device and per tip is noise in a program that prints its own.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*available but not used.*")
    warnings.filterwarnings("ignore", message=".*number of training batches.*smaller than the logging interval.*")
    return lightning
