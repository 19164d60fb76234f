"""Parsing, dispatch and exit codes.

0 is done, 1 a check that found something, 2 bad input (one clear message); anything else is a defect and shows a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from cdzoo._version import __version__
from cdzoo.cli.inputs import add_data
from cdzoo.cli.recipes import expand_train
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import CdzooError

_EPILOG = "Any command takes --import FILE.py (repeatable): imports your own parts before it runs."

_RUN = {
    "list": "cdzoo.cli.zoo:run_list",
    "info": "cdzoo.cli.zoo:run_info",
    "env": "cdzoo.cli.zoo:run_env",
    "train": "cdzoo.cli.train:run_train",
    "predict": "cdzoo.cli.predict:run_predict",
    "convert": "cdzoo.cli.hub:run_convert",
    "push": "cdzoo.cli.hub:run_push",
    "pull": "cdzoo.cli.hub:run_pull",
    "flops": "cdzoo.cli.flops:run_flops",
    "benchmark": "cdzoo.cli.benchmark:run_benchmark",
    "demo": "cdzoo.cli.demo:run_demo",
    "eval": "cdzoo.cli.evaluate:run_eval",
    "reproduce": "cdzoo.cli.evaluate:run_reproduce",
    "data.check": "cdzoo.cli.data:run_check",
    "data.list": "cdzoo.cli.data:run_list",
    "data.info": "cdzoo.cli.data:run_info",
    "data.prepare": "cdzoo.cli.data:run_prepare",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    argv = [_underscored(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    imports, argv = _split_imports(argv)
    warnings.showwarning = _show_warning
    try:
        if argv[:1] == ["train"]:
            argv = expand_train(argv)
        name, settings = _chosen(_parser().parse_args(argv))
        if imports:
            from cdzoo.registry import import_file

            for file in imports:
                import_file(file)
        module, function = _RUN[name].split(":")
        code = getattr(importlib.import_module(module), function)(**settings)
    except CdzooError as error:
        print(f"cdzoo: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `cdzoo list | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("cdzoo: stopped", file=sys.stderr)
        return 130
    return code or 0


def _chosen(parsed: Namespace) -> tuple[str, dict[str, Any]]:
    """Return the command (`train`, `data.check`) and its settings."""
    name, settings = "", parsed
    while "subcommand" in settings:
        chosen = settings["subcommand"]
        name, settings = f"{name}.{chosen}" if name else chosen, settings[chosen]
    plain = settings.as_dict()
    plain.pop("config", None)
    return name, plain


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="cdzoo", description="Change detection in remote-sensing images.", epilog=_EPILOG, version=__version__
    )
    commands = parser.add_subcommands(title="commands", metavar="COMMAND")

    add = partial(_add_command, commands)

    one = add("list", "Show the models and the parts there are.")
    one.add_argument("pattern", nargs="?", default="*", help="wildcard on names, such as 'glmamba*'")
    one.add_argument("--kind", type=str, help="only one kind: model, backbone, neck, fusion, decoder, head, recipe or weight")

    one = add("info", "Show a model's parts, parameters and settings.")
    one.add_argument("model", help="registered name, local-dir:PATH or hf-hub:owner/name")
    _add_overrides(one)

    add("env", "Show versions, devices and the backends of the selective scan.")

    one = add("train", "Train a model on pairs of images. Settings may be given as key=value.")
    one.add_argument("--config", action="config", help="YAML file with any of these options (--print_config writes one)")
    one.add_argument("--model", type=str, required=True, help="registered name (see: cdzoo list)")
    one.add_argument("--out", type=str, help="folder for the result; runs/MODEL by default")
    one.add_argument("--overwrite", action="store_true", help="replace a result that is already in --out")
    one.add_argument("--recipe", type=str, help="settings of a paper (cdzoo list --kind recipe), or a YAML file of your own")
    one.add_argument("--resume", type=str, help="folder of a run to continue from its last checkpoint")
    one.add_argument("--seeds", type=list[int], help="train once for each of several seeds: '[0, 1, 2]'")
    add_data(one, val=True)
    _add_overrides(one)
    one.add_class_arguments(TrainCfg)

    one = add("eval", "Score one or several models on a split of a data set.")
    one.add_argument("--model", type=str, nargs="+", required=True, help="folders of runs, hf-hub:owner/name, or names")
    one.add_argument("--split", type=str, default="test", help="train, val or test")
    one.add_argument("--out", type=str, help="results to write, as JSON")
    one.add_argument("--pictures", type=str, help="folder for pictures of the worst samples")
    one.add_argument("--worst", type=int, default=8, help="how many of them")
    one.add_argument("--threshold", type=float, help="another probability than the protocol's")
    one.add_argument("--batch_size", type=int, default=8, help="samples predicted at once")
    one.add_argument("--workers", type=int, default=0, help="processes that load data")
    one.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps")
    add_data(one, val=True)

    one = add("reproduce", "Score weights again as their results say, and compare.")
    one.add_argument("model", help="folder of a run, or hf-hub:owner/name")
    one.add_argument("--data", type=str, help="where the data are now")
    one.add_argument("--tolerance", type=float, default=1e-4, help="largest difference of a score")
    one.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps")

    one = add("predict", "Map the change between two images of one place, of any size.")
    one.add_argument("before", nargs="?", help="first date: a picture (PNG, JPEG), or any raster that GDAL reads")
    one.add_argument("after", nargs="?", help="second date; rasters may lie on another grid")
    one.add_argument("-o", "--output", help="map to write: .tif for a georeferenced one, .png for a picture")
    one.add_argument(
        "--model",
        type=str,
        default="glmamba_tiny.synthetic",
        help="folder written by cdzoo train, hf-hub:owner/name, or a weight of cdzoo list --kind weight",
    )
    one.add_argument("--threshold", type=float, default=0.5, help="probability from which a pixel counts as changed")
    one.add_argument(
        "--value_range", type=tuple[float, float], help="values that are black and white in deep images: '[0, 4095]'"
    )
    one.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda or mps")
    group = one.add_argument_group("maps of scenes (.tif)")
    group.add_argument("--probability", type=str, help="GeoTIFF of the probability to write too")
    group.add_argument("--probability_type", type=str, default="uint8", help="uint8 (200 is 1.0) or float32")
    group.add_argument("--polygons", type=str, help="changed areas to write too: .gpkg, .geojson or .parquet")
    group.add_argument("--min_area", type=float, default=0.0, help="smaller polygons are left out, in square metres")
    group.add_argument("--fill_holes", type=float, default=0.0, help="smaller holes are filled, in square metres")
    group.add_argument("--simplify", type=float, default=0.0, help="pixels that simplification may move an outline")
    group.add_argument("--report", type=str, help="page to write too (.html): both dates, the map, the largest changes")
    group.add_argument("--percentiles", type=tuple[float, float], help="percentiles that are black and white: '[2, 98]'")
    group.add_argument("--tile", type=int, default=512, help="side of a tile in pixels")
    group.add_argument("--overlap", type=int, help="pixels that neighbouring tiles share; a quarter of the tile by default")
    group.add_argument("--batch_size", type=int, default=4, help="tiles predicted at once")
    group.add_argument(
        "--augment", type=str, default="none", help="mean over mirrored images and swapped dates: flips, swap, all"
    )
    group = one.add_argument_group("many scenes")
    group.add_argument(
        "--manifest", type=str, help="CSV file: before, after, output, and if wanted probability, polygons, report"
    )
    group.add_argument("--ray", type=str, nargs="?", const="local", help="predict them on Ray: an address, or none to start it")
    group.add_argument("--workers", type=int, help="workers of Ray; one per GPU, or per two cores, by default")

    one = add("convert", "Turn an official checkpoint into a folder that cdzoo reads.")
    one.add_argument("checkpoint", help="file of the authors: .pth, .pt, .safetensors")
    one.add_argument("out", help="folder to write")
    one.add_argument("--model", type=str, help="what it is a checkpoint of (cdzoo list)")
    one.add_argument("--backbone", type=str, help="or: an encoder trained on ImageNet, such as vmamba_tiny")
    one.add_argument("--in_chans", type=int, help="bands, if others than the model's")
    one.add_argument("--num_classes", type=int, help="channels of the logits, if others than the model's")
    one.add_argument("--overwrite", action="store_true", help="replace what is in the folder")

    one = add("push", "Publish a model on the Hugging Face Hub (log in first: hf auth login).")
    one.add_argument("folder", help="written by cdzoo train or cdzoo convert")
    one.add_argument("repo", help="owner/name; made if it is not there")
    one.add_argument("--private", action="store_true", help="visible to its owners only")
    one.add_argument("--revision", type=str, help="branch; main by default")
    one.add_argument("--message", type=str, default="", help="of the commit")

    one = add("pull", "Fetch a model from the Hugging Face Hub and check it.")
    one.add_argument("source", help="owner/name or owner/name@revision")
    one.add_argument("-o", "--output", type=str, help="folder to copy it to; the Hub's cache otherwise")
    one.add_argument("--force", action="store_true", help="fetch again what is in the cache")

    one = add("flops", "Count parameters, multiply-adds and activations of models, part by part.")
    one.add_argument("model", nargs="+", help="names or wildcards ('glmamba*'), folders of runs, hf-hub:owner/name")
    one.add_argument("--size", type=int | tuple[int, int], default=256, help="side of the images in pixels, or '[height, width]'")
    one.add_argument("--batch", type=int, default=1, help="pairs")
    one.add_argument("--format", type=str, default="table", help="table, csv, json or markdown")
    one.add_argument("-o", "--output", type=str, help="file to write instead of printing")

    one = add("benchmark", "Time models side by side: latency, throughput and peak memory.")
    one.add_argument("model", nargs="*", help="names or wildcards, folders of runs, hf-hub:owner/name")
    one.add_argument("--mode", type=str, nargs="+", default=["forward"], help="forward, training")
    one.add_argument("--size", type=int, nargs="+", default=[256], help="sides of the images in pixels")
    one.add_argument("--batch", type=int, nargs="+", default=[1], help="pairs at once")
    one.add_argument("--precision", type=str, nargs="+", default=["fp32"], help="fp32, bf16")
    one.add_argument("--compiled", type=bool, nargs="+", default=[False], help="through torch.compile: true, false or both")
    one.add_argument("--device", type=str, default="auto", help="auto, cpu or cuda")
    one.add_argument("--rounds", type=int, default=10, help="timed calls of each case")
    one.add_argument("--warmup", type=int, default=2, help="calls before them")
    one.add_argument("--against", type=str, help="model that the others are compared with; the first by default")
    one.add_argument("--compare", dest="compare_runs", type=str, nargs="+", help="two files written with --format json -o FILE")
    one.add_argument("--format", type=str, default="table", help="table, csv, json or markdown")
    one.add_argument("-o", "--output", type=str, help="file to write instead of printing")

    data = ArgumentParser(description="Look after data sets.")
    commands.add_subcommand("data", data, help="Look after data sets.")
    _add_data_commands(data)

    one = add("demo", "Make scenes, map their change with the bundled weights, and draw it; no file and no network needed.")
    one.add_argument("-o", "--output", default="cdzoo_demo.png", help="picture to write")
    one.add_argument("--steps", type=int, default=0, help="train for so many steps of 8 pairs first (1200: four minutes)")
    one.add_argument("--size", type=int, default=256, help="side of the scenes in the picture, in pixels")
    one.add_argument("--seed", type=int, default=0, help="seed of scenes and weights")
    return parser


def _add_command(commands: Any, name: str, help: str) -> ArgumentParser:
    command = ArgumentParser(description=help, epilog=_EPILOG)
    commands.add_subcommand(name, command, help=help)
    return command


def _add_data_commands(data: ArgumentParser) -> None:
    add = partial(_add_command, data.add_subcommands(title="commands", metavar="COMMAND"))

    add("list", "Show the named data sets and the protocols.")

    one = add("info", "Show what a data set is and how to get it, and whether it is complete.")
    one.add_argument("name", help="data set (see: cdzoo data list)")
    one.add_argument("--root", type=str, help="where it is; $CDZOO_DATA/NAME, else data/NAME")

    one = add("check", "Read every file of a data set and list everything that is wrong.")
    one.add_argument("path", help="folder of pairs, with or without train/, val/ and test/")
    one.add_argument("--exclude", type=str, default=[], nargs="+", help="names of pairs to leave out (wildcards)")
    one.add_argument("--sheet", type=str, default="data_check.png", help="contact sheet to write")

    one = add("prepare", "Fetch a data set from addresses of yours, and cut it into tiles.")
    one.add_argument("name", help="data set, or a folder with train/, val/ and test/")
    one.add_argument("--root", type=str, help="where it is or goes; $CDZOO_DATA/NAME, else data/NAME")
    one.add_argument("--out", type=str, help="folder for the tiles")
    one.add_argument("--tile", type=int, default=256, help="side of a tile in pixels")
    one.add_argument("--url", type=str, default=[], nargs="+", help="archives to fetch and unpack first")
    one.add_argument("--sha256", type=str, default=[], nargs="+", help="their checksums, in the same order")


def _add_overrides(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("parts")
    for kind in ("backbone", "neck", "fusion", "decoder", "head"):
        optional = " or none" if kind in ("neck", "decoder") else ""
        group.add_argument(f"--{kind}", type=str, help=f"another {kind}: registered name{optional}")
        group.add_argument(f"--{kind}_kwargs", type=dict, help=f"arguments of the {kind}, as JSON")
    group.add_argument("--backbone_weights", type=str, help="weights of the backbone alone: a folder written by cdzoo convert")
    group.add_argument("--in_chans", type=int | list[int], help="bands: 4, or one number per date: '[2, 3]'")
    group.add_argument("--num_classes", type=int, help="channels of the logits; 1 is change against no change")
    group.add_argument("--siamese", type=bool, help="one backbone for both dates (true) or one for each (false)")


def _underscored(word: str) -> str:
    # --batch-size is --batch_size; values and file names keep their dashes.
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_") + equals + value


def _split_imports(argv: list[str]) -> tuple[list[str], list[str]]:
    first = argparse.ArgumentParser(prog="cdzoo", add_help=False, allow_abbrev=False)
    first.add_argument("--import", dest="imports", action="append", default=[], metavar="FILE.py")
    known, rest = first.parse_known_args(argv)
    return known.imports, rest


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    # Deprecation warnings of libraries speak to developers, who see them in the tests.
    if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | FutureWarning):
        print(f"cdzoo: note: {message}", file=sys.stderr)
