"""ChangeFormer V6.

Source: W. G. C. Bandara, V. M. Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022, doi
10.1109/IGARSS46834.2022.9883686, arXiv 2201.01293. The encoder has the sizes of the authors' code, which differ from the
paper's text (depths 3, 3, 4, 3). Both dates pass it as one batch.
"""

from __future__ import annotations

from cdzoo.config import ModelCfg, PartCfg
from cdzoo.registry import register_model

PAPER = "Bandara and Patel, A Transformer-Based Siamese Network for Change Detection, IGARSS 2022, arXiv 2201.01293"
ORIGINAL = "wgcban/ChangeFormer (MIT)"
CITATION = """@inproceedings{bandara2022transformer,
  title={A Transformer-Based Siamese Network for Change Detection},
  author={Bandara, Wele Gedara Chaminda and Patel, Vishal M.},
  booktitle={IEEE International Geoscience and Remote Sensing Symposium (IGARSS)},
  pages={207--210},
  year={2022}
}"""


def _changeformer(name: str, description: str) -> ModelCfg:
    return ModelCfg(
        name=name,
        backbone=PartCfg("changeformer"),
        neck=PartCfg("linear", {"channels": 256}),
        fusion=PartCfg("changeformer"),
        head=PartCfg("changeformer"),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description=description,
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="changeformer",
    )


@register_model(aliases=["changeformer"])
def changeformer_v6() -> ModelCfg:
    """The released network."""
    return _changeformer("changeformer_v6", "ChangeFormer V6: Siamese transformer encoder, learned differences")


@register_model
def changeformer_levir() -> ModelCfg:
    """The architecture of `changeformer_v6`."""
    return _changeformer("changeformer_levir", "ChangeFormer V6 for LEVIR-CD (buildings, 0.5 m)")


@register_model
def changeformer_dsifn() -> ModelCfg:
    """The architecture of `changeformer_v6`."""
    return _changeformer("changeformer_dsifn", "ChangeFormer V6 for DSIFN-CD (Chinese cities, 2 m)")
