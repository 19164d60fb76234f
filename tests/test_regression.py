"""The outputs of every architecture that has no golden file (`test_golden.py`) equal the stored ones.

`python tests/test_regression.py` updates `regression.json`; run it only after an intended change of the outputs.
"""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from architectures import architectures, fill, images
from golden_files import golden_names

import cdzoo

KEPT = Path(__file__).with_name("regression.json")
NAMES = [name for name in architectures() if name not in golden_names()]
SIZE = (64, 96)
POINTS = 6


def output(name):
    """Return the logits at some pixels of both samples, then their mean magnitude."""
    model = fill(cdzoo.create_model(name)).eval()
    with torch.no_grad():
        logits = model(*images(*SIZE, bands=model.config.bands[0]))[:, -1]
    pixels = torch.linspace(0, SIZE[0] * SIZE[1] - 1, POINTS).long()
    return [round(float(v), 6) for v in (*logits.flatten(1)[:, pixels].flatten(), logits.abs().mean())]


def test_every_architecture_has_stored_outputs():
    assert sorted(json.loads(KEPT.read_text())) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_outputs_match_the_stored_ones(name):
    expected = json.loads(KEPT.read_text())[name]
    largest = max(map(abs, expected))
    assert output(name) == pytest.approx(expected, rel=0, abs=1e-3 * largest)


if __name__ == "__main__":
    lines = [f"  {json.dumps(name)}: {json.dumps(output(name))}" for name in NAMES]
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
