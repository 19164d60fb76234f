"""`cdzoo convert`: official checkpoints, and files that are rejected."""

import os
import pickle

import numpy as np
import pytest
import torch
from architectures import fill, images

import cdzoo
from cdzoo.cli.main import main
from cdzoo.convert import to_official
from cdzoo.errors import ConfigError, InputError, WeightsError
from cdzoo.models.vmamba_keys import vmamba_key
from cdzoo.registry import BACKBONES
from cdzoo.weights.state import read_checkpoint

WRAPPED = {
    "fc_siam_diff": lambda state: state,
    "bit": lambda state: {"model_G_state_dict": state, "best_val_acc": np.float64(0.9), "epoch_id": 3},
    "changeformer": lambda state: {
        "model_G_state_dict": {f"module.{k}": v for k, v in state.items()},
        "optimizer_G_state_dict": {},
    },
    "mambabcd_tiny": lambda state: state,
    "rsm_cd_tiny": lambda state: {"net": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(WRAPPED))
def test_official_checkpoints(name, tmp_path, capsys):
    model = fill(cdzoo.create_model(name)).eval()
    torch.save(WRAPPED[name](to_official(name, model.state_dict())), tmp_path / "ckpt.pth")
    assert main(["convert", "--model", name, str(tmp_path / "ckpt.pth"), str(tmp_path / "out")]) == 0
    assert "its terms apply to the converted weights" in capsys.readouterr().out
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    loaded = cdzoo.create_model(f"local-dir:{tmp_path / 'out'}").eval()
    pair = images(32, 32, batch=1)
    with torch.no_grad():
        assert torch.equal(loaded(*pair), model(*pair))


class TestBackbone:
    def classifier(self):
        """Return the parameters of VMamba's ImageNet classifier: a backbone without our norms, and a head."""
        backbone = BACKBONES.get("vmamba_tiny")()
        state = {vmamba_key(k): v for k, v in backbone.state_dict().items() if not k.startswith("norms.")}
        return backbone, {**state, "classifier.norm.weight": torch.ones(768), "classifier.head.weight": torch.zeros(1000, 768)}

    def test_imagenet_weights_load_into_any_model_with_that_backbone(self, tmp_path, capsys):
        backbone, state = self.classifier()
        torch.save({"model": state, "epoch": 300}, tmp_path / "vssm.pth")
        out = str(tmp_path / "out")
        assert main(["convert", "--backbone", "vmamba_tiny", str(tmp_path / "vssm.pth"), out]) == 0
        assert 'backbone_weights="' in capsys.readouterr().out
        model = cdzoo.create_model("glmamba_tiny", backbone="vmamba_tiny", siamese=False, backbone_weights=out)
        for encoder in (model.backbone, model.backbone2):
            assert all(torch.equal(value, backbone.state_dict()[key]) for key, value in encoder.state_dict().items())
        with pytest.raises(WeightsError, match=r"does not match 'backbone vss' .*missing .*unexpected "):
            cdzoo.create_model("glmamba_tiny", backbone_weights=out)
        with pytest.raises(InputError, match="nowhere: no such file"):
            cdzoo.create_model("mambabcd_tiny", backbone_weights="nowhere")
        with pytest.raises(ConfigError, match="each load weights"):
            cdzoo.create_model(f"local-dir:{out}", backbone_weights=out)
        with pytest.raises(ConfigError, match="pretrained and backbone_weights each load weights"):
            cdzoo.create_model("glmamba_tiny", pretrained=True, backbone_weights=out)

    def test_options_of_models_are_rejected(self, tmp_path, capsys):
        _, state = self.classifier()
        torch.save(state, tmp_path / "vssm.pth")
        words = ["convert", "--backbone", "vmamba_tiny", "--num-classes", "3", str(tmp_path / "vssm.pth"), str(tmp_path / "out")]
        assert main(words) == 2
        assert "--num-classes cannot be used with --backbone" in capsys.readouterr().err


class TestRejected:
    def test_pickles_that_execute_code_are_rejected(self, tmp_path, capsys):
        class Malicious:
            def __reduce__(self):
                return (os.system, (f"touch {tmp_path / 'was_here'}",))

        torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Malicious()}, tmp_path / "evil.pth")
        assert main(["convert", "--model", "fc_ef", str(tmp_path / "evil.pth"), str(tmp_path / "out")]) == 2
        assert "was not opened" in capsys.readouterr().err
        (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Malicious()))
        with pytest.raises(WeightsError):
            read_checkpoint(tmp_path / "plain.pkl")
        assert not (tmp_path / "was_here").exists() and not (tmp_path / "out").exists()

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
    def test_files_that_are_not_checkpoints_are_rejected(self, content, tmp_path):
        (tmp_path / "x.pth").write_bytes(content)
        with pytest.raises(WeightsError, match=r"x\.pth"):
            read_checkpoint(tmp_path / "x.pth")

    def test_truncated_checkpoints_are_rejected(self, tmp_path):
        torch.save({"a": torch.zeros(1000)}, tmp_path / "x.pth")
        data = (tmp_path / "x.pth").read_bytes()
        (tmp_path / "x.pth").write_bytes(data[: len(data) // 2])
        with pytest.raises(WeightsError, match=r"x\.pth is not a readable PyTorch checkpoint"):
            read_checkpoint(tmp_path / "x.pth")

    def test_files_with_a_single_tensor_are_rejected(self, tmp_path):
        torch.save(torch.zeros(3), tmp_path / "x.pth")
        with pytest.raises(WeightsError, match="contains a Tensor instead of a dictionary"):
            read_checkpoint(tmp_path / "x.pth")

    def test_arguments(self, tmp_path, capsys):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "x").touch()
        torch.save({}, tmp_path / "x.pth")
        file, out = str(tmp_path / "x.pth"), str(tmp_path / "out")
        for words, message in (
            (["--model", "fc_ef", file, out], "already exists"),
            ([file, out], "name the model of the checkpoint"),
            (["--model", "fc_ef", "--backbone", "vmamba_tiny", file, out], "name the model of the checkpoint"),
            (["--model", "fc_ef", "none.pth", str(tmp_path / "new")], "none.pth: no such file"),
            (["--model", "fc_ef", file, str(tmp_path / "new")], "not a state dict of tensors"),
            (["--model", "glmamba_tiny", file, str(tmp_path / "new")], "no official checkpoint format is known"),
        ):
            assert main(["convert", *words]) == 2
            assert message in capsys.readouterr().err
        assert not (tmp_path / "new").exists()


def test_safetensors_with_other_bands_and_classes(tmp_path):
    from safetensors.torch import save_file

    model = fill(cdzoo.create_model("fc_ef", num_classes=1, in_chans=2)).eval()
    save_file(to_official("fc_ef", model.state_dict(), num_classes=1, in_chans=2), tmp_path / "x.safetensors")
    words = ["convert", "--model", "fc_ef", "--num-classes", "1", "--in-chans", "2", str(tmp_path / "x.safetensors")]
    assert main([*words, str(tmp_path / "out")]) == 0
    assert cdzoo.create_model(f"local-dir:{tmp_path / 'out'}").config.num_classes == 1
