"""Two processes on the CPU (gloo) end with the same weights and the scores of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cdzoo
from cdzoo.data.protocols import get_protocol
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.inference.evaluate import evaluate

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.mark.slow
def test_two_processes_give_the_scores_of_a_single_one(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0] == ranks[1]  # averaged weights and pooled scores are equal bit for bit
    scores = ranks[0]["scores"]
    assert scores["images"] == 7
    assert scores["tp"] + scores["fp"] + scores["fn"] + scores["tn"] == 7 * 48 * 48

    model = cdzoo.create_model(f"local-dir:{tmp_path}")
    samples = [SyntheticScenes(15, 48, seed=1, unchanged=0)[i] for i in range(8, 15)]
    alone = evaluate(model, samples, get_protocol(None)).summary()
    assert alone.to_dict() == scores
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["environment"]["processes"] == 2
