"""Commands: output, files and exit codes."""

import re

import numpy as np
import pytest
from PIL import Image

import cdzoo
from cdzoo.cli.main import main


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_shows_models_and_components(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    components = [name.partition("/")[2] for name in cdzoo.list_components()]
    for name in [*cdzoo.list_models(), *components]:
        assert f"  {name} " in out
    assert "components: fusion" in out and "aliases of models" not in out
    assert "of 8 channels (also bit, bit_dsifn, bit_levir, bit_whu)" in run(capsys, "list", "bit_levir")[1]
    assert "(also enlarge)" in run(capsys, "list", "enl*", "--kind", "neck")[1]
    assert run(capsys, "list", "glmamba_l*")[1].split("\n")[1].split()[0] == "glmamba_large"
    assert "vss" not in run(capsys, "list", "--kind", "fusion")[1]
    assert "  spatial" in run(capsys, "list", "--kind", "exchange")[1]


def test_list_shows_aliases_recipes_and_weights(capsys):
    out = run(capsys, "list", "bit*", "--aliases")[1].partition("aliases of models")[2]
    assert {line.split()[0]: line.split()[1] for line in out.splitlines()[1:]}["bit_levir"] == "bit_s4_dd8_dedim8"
    assert "glmamba" not in out
    assert "  glmamba_levir" in run(capsys, "list", "--kind", "recipe")[1]
    weights = run(capsys, "list", "--kind", "weight")[1]
    assert re.search(r"glmamba_tiny\.synthetic +trained on synthetic; zero-shot f1 38\.09", weights)


@pytest.mark.parametrize("command", ["list", "list --kind weight", "list --kind checkpoint", "info tinycd", "data list"])
def test_columns_are_aligned_in_a_terminal(capsys, monkeypatch, command):
    plain = run(capsys, *command.split())[1]
    for module in ("zoo", "data"):
        monkeypatch.setattr(f"cdzoo.cli.{module}.terminal_width", lambda: 80)
    wrapped = run(capsys, *command.split())[1]
    assert wrapped.split() == plain.split()
    lines = [line for line in wrapped.splitlines() if line.startswith(" ")]
    assert all(len(line.split()) == 1 for line in lines if len(line) > 80)  # an address
    if command == "data list":
        assert all(line[:40].rindex(" / ") < 40 for line in lines if " / " in line)


def test_info_of_a_model_with_branches_and_swapped_components(capsys):
    options = ["--task", "semantic", "--class-names", "a", "b", "--head", "summation", "--backbone-kwargs.dropout", "0.1"]
    code, out, _ = run(capsys, "info", "fc_siam_diff", *options)
    assert code == 0 and out.startswith("fc_siam_diff with backbone unet(dropout=0.1), head summation, task semantic: ")
    assert "branches   semantic_t1, semantic_t2" in out
    code, out, _ = run(capsys, "info", "glmamba_tiny", "--neck", "none", "--backbone-kwargs.d-state", 2)
    assert code == 0 and out.startswith("glmamba_tiny with backbone vss(d_state=2), without neck: ")


def test_list_without_matches_is_an_error(capsys):
    code, _, err = run(capsys, "list", "xyz*")
    assert code == 2 and "nothing matches 'xyz*'" in err
    code, _, err = run(capsys, "list", "--kind", "fuson")
    assert code == 2 and "Did you mean 'fusion'" in err


def test_info_shows_the_parameters_of_each_component(capsys):
    code, out, _ = run(capsys, "info", "glmamba_levir")
    assert code == 0
    total = int(out.split("parameters  ")[1].split()[0].replace(",", ""))
    assert 10e6 < total < 15e6
    rows = {line.split()[0]: line.split() for line in out.split("\n\n")[1].splitlines()[1:]}
    assert list(rows) == ["backbone", "neck", "fusion", "decoder", "head"]
    assert sum(int(row[2].replace(",", "")) for row in rows.values()) == total
    assert sum(float(row[3].rstrip("%")) for row in rows.values()) == pytest.approx(100, abs=0.3)


def test_info_accepts_options_of_create_model_in_both_spellings(capsys):
    code, out, _ = run(
        capsys, "info", "glmamba_tiny", "--fusion", "cbam", "--neck", "none", "--backbone-kwargs", '{"scan": "corners"}'
    )
    assert code == 0 and "CBAMFusion" in out and "scan='corners'" in out
    assert ["neck", "none", "0", "0.0%"] in [line.split()[:4] for line in out.splitlines()]
    code, out, _ = run(capsys, "info", "glmamba_tiny", "--in_chans", "[2, 3]", "--siamese", "false")
    assert code == 0 and "2 and 3 bands, not Siamese" in out


def test_env_shows_every_scan_backend(capsys):
    from cdzoo.ops import scan_backends

    code, out, _ = run(capsys, "env")
    assert code == 0 and "torch" in out
    section = out.partition("selective-scan backends")[2]
    for backend in scan_backends():
        line = next(line for line in section.splitlines() if line.strip().startswith(backend.name))
        assert ("not usable" in line) is not backend.usable
        assert backend.usable or backend.reason in out


def test_train_then_predict(capsys, pair_folder, tmp_path):
    root, out = pair_folder(3, 48), tmp_path / "run"
    options = ["--backbone_kwargs", '{"channels": 8, "d_state": 2}', "--epochs", 2, "--batch-size", 2, "--crop", 32]
    code, printed, err = run(
        capsys, "train", "--model", "glmamba_tiny", "--data", root, "--out", out, "--progress", "false", *options
    )
    assert code == 0, err
    assert "1 of 3 training pairs are held out" in printed and f"written to {out}" in printed
    assert sorted(f.name for f in out.iterdir()) == [
        "checkpoints",
        "config.json",
        "log.csv",
        "model.safetensors",
        "results.json",
        "run.yaml",
    ]

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    pair = root / "A" / "pair_0.png", root / "B" / "pair_0.png"
    code, printed, err = run(capsys, "predict", *pair, "-o", pictures / "change.png", "--model", out)
    assert code == 0, err
    assert sorted(f.name for f in pictures.iterdir()) == ["change.png", "change_overlay.png", "change_probability.png"]
    mask, probability, overlay = (
        np.asarray(Image.open(f))
        for f in (pictures / "change.png", pictures / "change_probability.png", pictures / "change_overlay.png")
    )
    change = cdzoo.predict_pair(cdzoo.create_model(f"local-dir:{out}"), *pair)
    assert np.array_equal(mask, change.mask * 255) and mask.shape == (48, 48)
    assert np.abs(probability - change.probability * 255).max() <= 0.51
    assert overlay.shape == (48, 48, 3)
    assert f"{change.mask.mean():.2%} of 48x48 pixels changed" in printed


def test_train_uses_existing_splits(capsys, pair_folder, tmp_path):
    root = pair_folder(2, 40, name="set/train").parent
    pair_folder(1, 44, name="set/val")
    code, printed, err = run(
        capsys,
        "train",
        "--model",
        "glmamba_tiny",
        "--data",
        root,
        "--out",
        tmp_path / "run",
        "--epochs",
        1,
        "--crop",
        32,
        "--progress",
        "false",
    )
    assert code == 0, err
    assert "train: 2 pairs, masks 0/255" in printed and "val: 1 pairs" in printed and "training pairs" not in printed


def test_train_does_not_write_to_a_used_folder(capsys, pair_folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep")
    code, _, err = run(capsys, "train", "--model", "glmamba_tiny", "--data", pair_folder(), "--out", tmp_path / "run")
    assert code == 2 and "--overwrite" in err
    assert [f.name for f in (tmp_path / "run").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("folder", "message"), [("label", "the mask has values 0, 7"), ("B", "damaged or truncated")])
def test_an_invalid_file_is_named_during_training(capsys, pair_folder, tmp_path, folder, message):
    root = pair_folder(3, 40)
    file = root / folder / "pair_1.png"
    if folder == "label":
        Image.fromarray(np.asarray(Image.open(file)) // 255 * 7).save(file)
    else:
        file.write_bytes(file.read_bytes()[:-2000])
    code, _, err = run(
        capsys, "train", "--model", "glmamba_tiny", "--data", root, "--out", tmp_path / "run", "--epochs", 1, "--crop", 32
    )
    assert code == 2 and f"{folder}/pair_1.png: " in err and message in err
    assert not (tmp_path / "run").exists()


def test_config_files_are_printed_read_and_validated(capsys, pair_folder, tmp_path):
    arguments = [
        "train",
        "--model",
        "glmamba_tiny",
        "--data",
        pair_folder(3, 40),
        "--epochs",
        1,
        "--crop",
        32,
        "--progress",
        "false",
    ]
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, arguments), "--print_config"])
    assert stopped.value.code == 0
    file = tmp_path / "run.yaml"
    file.write_text(capsys.readouterr().out)
    code, _, err = run(capsys, "train", "--config", file, "--out", tmp_path / "run")
    assert code == 0, err
    file.write_text(file.read_text() + "epochz: 3\n")
    code, _, err = run(capsys, "train", "--config", file)
    assert code == 2 and "unknown option 'epochz' in the config file. Did you mean 'epochs'?" in err


def test_eval_accepts_tags_and_rejects_untrained_models(capsys, tmp_path, pair_folder):
    root = pair_folder(2, 40)
    code, out, err = run(capsys, "eval", "--model", "glmamba_tiny.synthetic", "glmamba_tiny", "--data", root)
    assert code == 0, err
    first, second = (line.split()[1:] for line in out.splitlines() if line.startswith("glmamba_tiny"))
    assert first == second
    code, _, err = run(capsys, "eval", "--model", "bit", "--data", root)
    assert code == 2 and "cdzoo train --model bit" in err


def test_imported_files_add_components(capsys, tmp_path):
    file = tmp_path / "my_fusion.py"
    file.write_text(
        "import cdzoo\nfrom cdzoo.components import LevelFusion\n\n\n"
        "@cdzoo.register_fusion('cli_mean')\nclass Mean(LevelFusion):\n"
        "    def forward(self, x1, x2):\n        return (x1 + x2) / 2\n"
    )
    try:
        code, out, err = run(capsys, "info", "glmamba_tiny", "--fusion", "cli_mean", "--import", file)
        assert code == 0, err
        assert "cli_mean" in out
        assert "cli_mean" in run(capsys, f"--import={file}", "list")[1]
    finally:
        cdzoo.registry.FUSIONS._entries.pop("cli_mean", None)
    code, _, err = run(capsys, "list", "--import", tmp_path / "none.py")
    assert code == 2 and "none.py" in err


def test_demo_trains_and_draws_a_picture(capsys, tmp_path):
    code, out, err = run(capsys, "demo", "-o", tmp_path / "demo.png", "--steps", 2, "--size", 64)
    assert code == 0, err
    assert Image.open(tmp_path / "demo.png").width > 5 * 64
    assert "f1 " in out and "16 unseen scenes of 64x64" in out
    assert run(capsys, "demo", "-o", tmp_path / "demo.txt")[0] == 2
    assert run(capsys, "demo", "-o", tmp_path / "x.png", "--size", 8)[0] == 2


def test_deprecations_of_cdzoo_are_shown_as_notes(capsys, tmp_path):
    file = tmp_path / "old.py"
    file.write_text("import warnings\n\nwarnings.warn('cdzoo.old is deprecated, use cdzoo.new', DeprecationWarning)\n")
    code, _, err = run(capsys, "list", "--kind", "neck", "--import", file)
    assert code == 0 and err == "cdzoo: note: cdzoo.old is deprecated, use cdzoo.new\n"
