"""Lists of scenes in `cdzoo predict --manifest`, and what is printed about them."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from cdzoo.cli.common import pick_device

if TYPE_CHECKING:
    from cdzoo.cli.prediction import PredictionJob
    from cdzoo.scenes.image_cache import CacheCfg


def predict_list(
    job: PredictionJob,
    manifest: str,
    of_all: dict[str, Any],
    cache: CacheCfg,
    ray: bool | str = False,
    workers: int | None = None,
) -> int:
    """Predict the scenes of a list that are not finished, and print the result of each.

    Args:
        job: Model and settings.
        manifest: CSV file of the scenes, see `read_manifest`.
        of_all: Values of columns for the scenes that have none.
        cache: Folder for copies of remote images.
        ray: Predict them with Ray: address of a cluster; True or "local" to start Ray.
        workers: Number of Ray workers.

    Returns:
        1 if a scene, or a line of the list, fails, else 0.
    """
    from cdzoo.scenes.cluster import predict_on_ray
    from cdzoo.scenes.many import predict_scenes, read_manifest
    from cdzoo.scenes.trained import trained_options

    trained = trained_options(job.model)
    scenes, problems = read_manifest(manifest, of_all)
    count, finished = len(scenes) + len(problems), 0
    for number, problem in enumerate(problems, 1):
        print(f"[{number}/{count}] failed: {problem}", flush=True)
    if not ray:
        outcomes = predict_scenes(job.load_named, scenes, job.cfg, job.polygon_cfg, cache, trained)
    else:
        gpus, cores = (1.0, 1.0) if pick_device(job.device).type == "cuda" else (0.0, 2.0)
        address = None if ray is True or ray == "local" else ray
        options: dict[str, Any] = {"address": address, "workers": workers, "gpus": gpus, "cores": cores, "cache": cache}
        outcomes = predict_on_ray(job.load, scenes, job.cfg, job.polygon_cfg, trained=trained, **options)
    failed, taken_over = len(problems), 0
    settings = Counter[str]()
    for number, outcome in enumerate(outcomes, len(problems) + 1):
        failed += bool(outcome.error)
        is_finished = outcome.finished and not outcome.lost
        finished += is_finished
        taken_over += bool(outcome.lost and not outcome.error)
        settings[outcome.trained] += not outcome.error
        if outcome.trained and settings[outcome.trained] == 1:
            print(f"as in the training of {job.model}: {outcome.trained}", flush=True)
        text = f"{outcome.changed / outcome.pixels:.2%} changed, {outcome.seconds:.0f} s" if outcome.pixels else "no data"
        if outcome.finished or outcome.error:
            before = "before, with these inputs and settings" if is_finished else "by the worker that was lost"
            text = f"failed: {outcome.error}" if outcome.error else f"finished {before}"
        elif outcome.lost:
            text += f"; again, as {outcome.lost} worker{'s were' if outcome.lost > 1 else ' was'} lost"
        print(f"[{number}/{count}] {outcome.output}: {text}", flush=True)
    print(f"{count} scenes: {count - failed - finished} predicted, {finished} finished before, {failed} failed")
    if len(+settings) > 1:  # scenes of several kinds
        for text, number in settings.items():
            print(f"{number} of {count} scenes {f'as in the training: {text}' if text else 'with the options given alone'}")
    if taken_over:
        print(f"{taken_over} of these were taken over from workers or machines that were lost")
    if failed:
        print(f"{failed} of {count} scenes failed; run the same command again to retry them", file=sys.stderr)
    return 1 if failed else 0
