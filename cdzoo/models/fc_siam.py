"""FC-EF, FC-Siam-Conc and FC-Siam-Diff: fully convolutional networks for change detection.

Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, doi
10.1109/ICIP.2018.8451652, arXiv 1810.08462. The logits are those before the log-softmax that ends the authors' code. That code
normalises each image by its own mean and deviation; here values in [0, 1] are centred with one mean and deviation for all.
"""

from __future__ import annotations

from typing import Any

from cdzoo.config import OTHER_MEAN, OTHER_STD, ModelCfg, PartCfg
from cdzoo.registry import register_model

PAPER = "Daudt et al., Fully convolutional Siamese networks for change detection, ICIP 2018, doi 10.1109/ICIP.2018.8451652"
ORIGINAL = "rcdaudt/fully_convolutional_change_detection (no licence stated)"
CITATION = """@inproceedings{daudt2018fully,
  title={Fully convolutional Siamese networks for change detection},
  author={Caye Daudt, Rodrigo and Le Saux, Bertrand and Boulch, Alexandre},
  booktitle={IEEE International Conference on Image Processing (ICIP)},
  pages={4063--4067},
  year={2018}
}"""


def _fc(name: str, description: str, fusion: PartCfg, **changes: Any) -> ModelCfg:
    widths, depths = [16, 32, 64, 128], [2, 2, 3, 3]
    return ModelCfg(
        name=name,
        backbone=PartCfg("unet", {"channels": widths, "depths": depths, "dropout": 0.2}),
        fusion=fusion,
        # One convolution fewer at the finest level: the last one is the head.
        decoder=PartCfg("unet", {"widths": widths, "depths": [depths[0] - 1, *depths[1:]], "dropout": 0.2}),
        head=PartCfg("conv", {"kernel_size": 3, "transposed": True}),
        num_classes=2,
        mean=OTHER_MEAN,
        std=OTHER_STD,
        description=description,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="fc_siam",
        **changes,
    )


@register_model
def fc_ef() -> ModelCfg:
    """Early fusion: one U-Net over the bands of both dates."""
    return _fc("fc_ef", "FC-EF: one U-Net over the bands of both dates", PartCfg("early"))


@register_model
def fc_siam_conc() -> ModelCfg:
    """Siamese encoder; the skip connections carry both dates."""
    return _fc("fc_siam_conc", "FC-Siam-Conc: Siamese U-Net, skips of both dates", PartCfg("skips", {"mode": "concat"}))


@register_model
def fc_siam_diff() -> ModelCfg:
    """Siamese encoder; the skip connections carry the distance of the dates."""
    return _fc("fc_siam_diff", "FC-Siam-Diff: Siamese U-Net, skips of |t1 - t2|", PartCfg("skips", {"mode": "abs_diff"}))


@register_model
def fc_ef_oscd() -> ModelCfg:
    """FC-EF for the 13 bands of Sentinel-2."""
    return _fc("fc_ef_oscd", "FC-EF for OSCD (Sentinel-2, 13 bands)", PartCfg("early"), in_chans=13)


@register_model
def fc_siam_conc_oscd() -> ModelCfg:
    """FC-Siam-Conc for the 13 bands of Sentinel-2."""
    fusion = PartCfg("skips", {"mode": "concat"})
    return _fc("fc_siam_conc_oscd", "FC-Siam-Conc for OSCD (Sentinel-2, 13 bands)", fusion, in_chans=13)


@register_model
def fc_siam_diff_oscd() -> ModelCfg:
    """FC-Siam-Diff for the 13 bands of Sentinel-2."""
    fusion = PartCfg("skips", {"mode": "abs_diff"})
    return _fc("fc_siam_diff_oscd", "FC-Siam-Diff for OSCD (Sentinel-2, 13 bands)", fusion, in_chans=13)
