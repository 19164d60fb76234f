"""Training in two processes: `torchrun --nproc-per-node 2 two_processes.py OUT [semi]`."""

import json
import os
import sys
from pathlib import Path

import torch

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.engine import TrainCfg, train


def main(out: Path, semi: str | None = None) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = cdzoo.create_model("glmamba_tiny", backbone_kwargs={"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2})
    samples = [SyntheticScenes(15, 48, seed=1, unchanged=0)[i] for i in range(15)]
    cfg = TrainCfg(epochs=2, batch_size=4, crop=48, lr=5e-3, ema=0.8, loss="bce+dice", progress=False, device="cpu", semi=semi)
    # An odd number of validation samples: none may be counted twice.
    unlabeled = [sample._replace(images=sample.images[::-1]) for sample in samples[:6]] if semi else None
    results = train(model, samples[:8], samples[8:], cfg, out, unlabeled_set=unlabeled)
    weights = torch.cat([value.flatten().double() for value in model.state_dict().values()])
    rank = os.environ.get("RANK", "0")
    (out / f"rank{rank}.json").write_text(
        json.dumps({"scores": results.scores.to_dict(), "sum": weights.sum().item(), "abs": weights.abs().sum().item()})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(["unimatch"] if "semi" in sys.argv[2:] else []))
