"""Arguments and pyramids that components refuse, with messages that name them."""

import pytest
from architectures import MERGING, ONE_LEVEL_HEADS

import cdzoo
from cdzoo.errors import ConfigError
from cdzoo.registry import COMPONENTS


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("decoder", ("csie", {"groups": 3})),
        ("decoder", ("csie", {"interaction": "both"})),
        ("decoder", ("csie", {"reduction": 0})),
        ("fusion", ("cbam", {"reduction": 0})),
        ("fusion", ("cross_attention", {"tokens": 0})),
        ("backbone", ("vss", {"channels": 0})),
        ("backbone", ("vss", {"depths": []})),
        ("backbone", ("vss", {"depths": [1, 0]})),
        ("backbone", ("vss", {"drop_path": 1.0})),
        ("backbone", ("vmamba", {"channels": 7})),
        ("backbone", ("vmamba", {"depths": [1, 0]})),
        ("backbone", ("vmamba", {"drop_path": 1.0})),
        ("backbone", ("unet", {"channels": [8], "depths": [1, 1]})),
        ("backbone", ("unet", {"channels": [2] * 6, "depths": [1] * 6})),
        ("backbone", ("changeformer", {"depths": [1, 1]})),
        ("backbone", ("changeformer", {"heads": [3, 2, 4, 8]})),
        ("backbone", ("changeformer", {"heads": []})),
        ("backbone", ("changeformer", {"drop_path": 1.0})),
        ("backbone", ("vmamba_tiny", {"drop_path": -0.1})),
        ("backbone", ("mit", {"patch_sizes": [7]})),
        ("backbone", ("swin", {"window": 1})),
        ("backbone", ("cdmamba", {"depths": [1, 0]})),
        ("fusion", ("cdmamba", {"guided": -1})),
        ("backbone", ("changevit", {"heads": 5})),
        ("backbone", ("changevit", {"img_size": 100})),
        ("backbone", ("elgcnet", {"channels": [6, 8, 8, 8]})),
        ("neck", ("feature_injector", {"heads": 0})),
        ("backbone", ("swin", {"heads": [3, 6, 12]})),
        ("backbone", ("swin", {"heads": [5, 6, 12, 24]})),
        ("backbone", ("snunet", {"stages": 1})),
        ("neck", ("linear", {"channels": 0})),
        ("neck", ("segformer", {"channels": 1})),
        ("decoder", ("mix_ffn", {"mlp_ratio": 0.0})),
        ("decoder", ("nested_unet", {"widths": [8]})),
        ("decoder", ("decode_cells", {"paths": 3})),
        ("head", ("path_sum", {"paths": 3})),
        ("head", ("path_sum", {"path_weights": [1.0, 1.0]})),
        ("fusion", ("icifnet", {"conv_channels": [8]})),
        ("backbone", ("dual", {"encoders": ["resnet18"]})),
        ("backbone", ("dual", {"encoders": ["resnet18", "vit_tiny_patch16_224"]})),
        ("head", ("conv", {"dropout": 1.0})),
        ("neck", ("upsample", {"channels": 0})),
        ("neck", ("stanet", {"channels": 0})),
        ("fusion", ("concat_conv", {"kernel_size": 2})),
        ("fusion", ("pam", {"parts": [0]})),
        ("fusion", ("skips", {"mode": "both"})),
        ("fusion", ("mf_mamba", {"reduction": 0})),
        ("fusion", ("spatio_temporal", {"arrangements": ["diagonal"]})),
        ("decoder", ("top_down", {"channels": -1})),
        ("decoder", ("unet", {"widths": [8]})),
        ("decoder", ("upernet", {"channels": 0})),
        ("decoder", ("upernet", {"bins": []})),
        ("decoder", ("ifn", {"dropout": 1.0})),
        ("decoder", ("hanet", {"channels": 0})),
        ("backbone", ("hanet", {"channels": []})),
        ("backbone", ("hanet", {"img_size": 100})),
        ("decoder", ("mask_up", {"widths": [8]})),
        ("decoder", ("msd_unet", {"widths": [8, 12, 16]})),
        ("backbone", ("ussfcnet", {"channels": []})),
        ("decoder", ("supervised_attention", {"channels": 0})),
        ("head", ("deep_supervision", {"side_logits": True})),
        ("neck", ("nam", {"hidden": 0})),
        ("neck", ("vss", {"levels": 5})),
        ("neck", ("vss", {"levels": 0})),
        ("neck", ("vss", {"depth": 0})),
        ("decoder", ("shuffle_stages", {"widths": [8, 8]})),
        ("decoder", ("shuffle_stages", {"depths": [4, 1, 4]})),
        ("decoder", ("shuffle_stages", {"widths": [8, 8], "depths": [1, 2]})),
        ("backbone", ("lightcdnet", {"width": 7})),
        ("fusion", ("time_attention", {"hidden": 0})),
        ("head", ("fpn", {"channels": 0})),
        ("backbone", ("tinycd", {"stages": 0})),
        ("backbone", ("tinycd", {"encoder": "convnext_atto"})),
        ("head", ("conv", {"kernel_size": 2})),
        ("head", ("guided", {"channels": 0})),
    ],
)
def test_arguments_out_of_range(kind, value):
    with pytest.raises(ConfigError, match=f"(?i){value[0].removesuffix('_tiny')}|drop_path"):
        cdzoo.create_model("glmamba_tiny", **{kind: value})


def test_csam_levels_and_strides():
    with pytest.raises(ConfigError, match=r"neck csam: at least three levels.*neck=None"):
        cdzoo.create_model("glmamba_tiny", backbone=("vss", {"channels": 8, "depths": [1, 1]}))
    with pytest.raises(ConfigError, match="strides that double"):
        COMPONENTS["neck"].get("csam")([8, 8, 8], [4, 8, 8])


@pytest.mark.parametrize("head", ONE_LEVEL_HEADS)
def test_single_level_heads_suggest_a_decoder(head):
    with pytest.raises(ConfigError, match=rf"{head} expects one level.*4 levels.*decoder=\"unet\""):
        cdzoo.create_model("glmamba_tiny", head=head)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("fusion", "skips"), ("fusion", "icifnet"), *(("decoder", name) for name in MERGING), ("neck", "csam")],
)
def test_single_level_is_rejected(kind, name):
    with pytest.raises(ConfigError, match=rf"{kind} {name}.*levels"):
        cdzoo.create_model("bit", **{kind: name})


@pytest.mark.parametrize("decoder", ["unet", "concat_up", "deconv_up", "mask_up", "msd_unet", "nested_unet", "shuffle_stages"])
def test_strides_that_do_not_double_are_rejected(decoder):
    with pytest.raises(ConfigError, match=f"decoder {decoder} requires strides that double"):
        COMPONENTS["decoder"].get(decoder)([8, 8, 8], [4, 8, 32])
