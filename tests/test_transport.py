"""Models in other processes, compiled, and on encoders that take certain sizes only."""

import pickle

import pytest
import torch

import cdzoo
from cdzoo.errors import InputError
from cdzoo.models.preprocess import pad_edges


@pytest.mark.parametrize("name", cdzoo.list_models())
def test_models_can_be_pickled(name):
    with torch.device("meta"):
        model = cdzoo.create_model(name)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.config == model.config and list(copy.state_dict()) == list(model.state_dict())


@pytest.mark.parametrize("fusion", ["skips", "spatio_temporal", "bfa"])
def test_copies_give_the_same_answer(tiny, fusion):
    model = tiny(fusion=fusion).eval()
    pair = torch.randn(2, 1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(pickle.loads(pickle.dumps(model))(*pair), model(*pair))


def test_padding_compiles_for_sizes_that_vary(tiny):
    model = tiny()

    def padded(image):
        return pad_edges(image, *model.padding(*image.shape[-2:]))

    compiled = torch.compile(padded, backend="aot_eager", fullgraph=True)
    for size in ((64, 64), (64, 96), (70, 96), (65, 33)):
        image = torch.randn(1, 3, *size)
        assert torch.equal(compiled(image), padded(image))


@pytest.mark.parametrize(
    ("encoder", "multiple"),
    [("maxvit_rmlp_pico_rw_256", 256), ("efficientvit_m0", 64), ("mobilenetv3_small_050", 32), ("vit_tiny_patch16_224", 32)],
)
def test_images_are_padded_to_what_an_encoder_takes(encoder, multiple):
    with torch.device("meta"):
        model = cdzoo.create_model("glmamba_tiny", backbone=f"timm/{encoder}", neck=None, fusion="diff").eval()
        assert model.backbone.pad_multiple == multiple
        assert model(*torch.zeros(2, 1, 3, 100, 130)).shape == (1, 1, 100, 130)


@pytest.mark.parametrize("encoder", ["levit_128s", "visformer_tiny", "cait_xxs24_224"])
def test_encoders_of_one_size_declare_it(encoder):
    with torch.device("meta"):
        model = cdzoo.create_model("glmamba_tiny", backbone=f"timm/{encoder}", neck=None, fusion="diff").eval()
        assert model.fixed_input_size == 224 and model(*torch.zeros(2, 1, 3, 224, 224)).shape == (1, 1, 224, 224)
        with pytest.raises(InputError, match="are not 224x224 pixels, the only size"):
            model(*torch.zeros(2, 1, 3, 256, 256))
