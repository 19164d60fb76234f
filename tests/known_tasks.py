"""Models of tasks with several classes whose predictions are known, and scenes for them."""

import numpy as np
import torch
from known_backbones import Pixels

import cdzoo
from cdzoo.components import PerLevelFusion
from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.fusion import AbsDiff
from cdzoo.heads import Conv
from cdzoo.models.branch import Branch
from cdzoo.tasks import get_task

COVERS = {"water": (30, 60, 200), "ground": (170, 130, 60), "building": (210, 60, 90)}
NAMES = {
    "multiclass": ("no change", "more red", "more green"),
    "semantic": tuple(COVERS),
    "damage": ("no damage", "minor", "destroyed"),
}
_SHARP = 60.0  # logits per unit of distance


def known_model(name, backbone=None):
    """Return a model of a task in evaluation mode, by the colors of pixels; another backbone has random heads.

    `multiclass`: the kind is the band that differs most. `semantic`: the land cover is the nearest of `COVERS`. `damage`:
    buildings are bright at the first date, and the grade is the difference in thirds.
    """
    backbone, by_color = backbone or Pixels(), backbone is None
    task, (channels,), strides = get_task(name, NAMES[name]), backbone.out_channels, backbone.out_strides

    def head(weight, bias):
        layer = Conv([channels], strides, len(bias))
        torch.nn.init.normal_(layer.classify.weight)
        torch.nn.init.zeros_(layer.classify.bias)
        if by_color:
            with torch.no_grad():
                layer.classify.weight.copy_(torch.tensor(weight)[:, :, None, None])
                layer.classify.bias.copy_(torch.tensor(bias))
        return layer

    def ramp(edges, band):  # of equal probability at the edges
        steps = np.arange(len(edges) + 1.0)
        biases = -np.concatenate([[0.0], np.cumsum(edges)])
        return [[_SHARP * step * on for on in band] for step in steps], [_SHARP * float(bias) for bias in biases]

    branches = {}
    if name == "multiclass":
        main = head([[0.0] * 3, [_SHARP, 0.0, 0.0], [0.0, _SHARP, 0.0]], [_SHARP / 4, 0.0, 0.0])
    elif name == "semantic":
        colors = np.array(list(COVERS.values())) / 255
        weights, biases = 2 * _SHARP * colors, -_SHARP * (colors**2).sum(1)
        main = head([[_SHARP] * 3], [-_SHARP / 8])
        for date in range(2):
            cover = head([[0.0] * 3, *weights.tolist()], [100.0, *biases.tolist()])
            branches[f"semantic_t{date + 1}"] = Branch(cover, (date,))
    else:
        weight, bias = ramp([0.25, 0.6], (0.0, 0.0, 1.0))
        main = head([[0.0] * 3, *weight], [100.0, *bias])
        branches["building"] = Branch(head(*ramp([0.7], (1.0, 0.0, 0.0))), (0,))
    kinds = {kind: ComponentCfg(f"instance:{kind}") for kind in ("backbone", "fusion", "head")}
    config = ModelCfg(
        name="known",
        **kinds,
        num_classes=main.num_classes,
        task=name,
        class_names=NAMES[name],
        mean=(0.0,),
        std=(1.0,),
    )
    fusion = PerLevelFusion([AbsDiff(channels)], strides)
    return cdzoo.ChangeDetector(backbone, None, fusion, None, main, config=config, branches=branches, task=task).eval()


def known_scene(name, height=150, width=210):
    """Return two dates (height, width, 3) and the main map of `known_model`: two touching squares, one in a hole, one alone."""
    rows = [slice(40, 100), slice(40, 100), slice(60, 75), slice(110, 130)]
    columns = [slice(60, 120), slice(120, 150), slice(80, 95), slice(20, 40)]
    before, after = np.zeros((2, height, width, 3), np.uint8)
    truth = np.zeros((height, width), np.uint8)
    if name == "semantic":
        covers = [np.array(color, np.uint8) for color in COVERS.values()]
        before[:], after[:] = covers[1], covers[1]
        changes = [(1, 2), (1, 0), (1, 0), (0, 2)]  # from and to
        codes = [first * 3 + second + 1 for first, second in changes]
    elif name == "multiclass":
        before[:], after[:] = 80, 80
        codes = [1, 2, 2, 1]
    else:
        before[:], after[:] = 80, 80
        before[20:140, 50:160, 0] = after[20:140, 50:160, 0] = 230
        truth[20:140, 50:160] = 1
        codes = [3, 2, 2, 0]
    for row, column, code in zip(rows, columns, codes, strict=True):
        if name == "semantic":
            before[row, column], after[row, column] = covers[(code - 1) // 3], covers[(code - 1) % 3]
        elif name == "multiclass":
            after[row, column] = 80
            after[row, column, code - 1] = 220
        elif code:
            after[row, column, 2] = 80 + (0, 20, 110, 170)[code]
        truth[row, column] = code
    return before, after, truth
