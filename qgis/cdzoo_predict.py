"""Change detection with cdzoo as an algorithm of QGIS (3.22 or later).

Copy this file to `processing/scripts` in the folder of your QGIS profile, or add it in the Processing Toolbox (Scripts > Add
Script to Toolbox). It runs `cdzoo predict` with the Python in which cdzoo is installed, not in that of QGIS. See docs/qgis.md.
"""

import os
import queue
import re
import shlex
import subprocess
import threading
from pathlib import Path

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsSettings,
)

SETTING = "cdzoo/python"  # where QGIS remembers the Python of cdzoo
INSTALL = "python -m venv cdzoo-env, then cdzoo-env/bin/pip install 'cdzoo[geo]' (Windows: cdzoo-env\\Scripts\\pip)"
# Of QGIS; another Python and its GDAL and PROJ fail with them.
VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA")
HELP = """<p>Maps the change between two images of any size with a model of cdzoo, and loads the map, the changed areas as
polygons and the probability, with their styles. The map has the grid of the first image; the second one is resampled to it.</p>
<p><b>Model</b>: name of weights (<code>cdzoo list --kind weight</code>), or folder of a training run. Empty: the weights that
<code>cdzoo predict</code> uses by default.</p>
<p><b>Threshold</b>: minimum probability of a changed pixel. Not set: that of the weights.</p>
<p><b>Minimum area</b> of a polygon, in square meters.</p>
<p><b>Python of cdzoo</b>: program, or folder of the virtual environment, in which cdzoo is installed. QGIS remembers it.</p>
<p><b>Further options</b>: those of <code>cdzoo predict</code>, such as <code>--percentiles "[2, 98]"</code> for images of more
than 8 bits.</p>"""


class DefaultStyle(QgsProcessingLayerPostProcessorInterface):
    """Gives a loaded layer the style that cdzoo wrote with it, which Processing leaves out."""

    def postProcessLayer(self, layer, context, feedback):
        layer.loadDefaultStyle()
        layer.triggerRepaint()


ALIVE = []  # styles in use: QGIS deletes each with its layer, and keeps no reference for Python


class CdzooPredict(QgsProcessingAlgorithm):
    """Runs `cdzoo predict` on two raster layers."""

    def createInstance(self):
        return CdzooPredict()

    def name(self):
        return "cdzoo_predict"

    def displayName(self):
        return "Detect change"

    def group(self):
        return "cdzoo"

    def groupId(self):
        return "cdzoo"

    def shortHelpString(self):
        return HELP.replace("\n", " ")  # QGIS makes a paragraph of each line

    def initAlgorithm(self, config=None):
        number, advanced = QgsProcessingParameterNumber, QgsProcessingParameterDefinition.FlagAdvanced
        area = number("MIN_AREA", "Minimum area in square meters", number.Double, 0.0, minValue=0.0)
        python = QgsProcessingParameterFile(
            "PYTHON", "Python of cdzoo", defaultValue=QgsSettings().value(SETTING, ""), optional=True, fileFilter="All files (*)"
        )
        options = QgsProcessingParameterString("OPTIONS", "Further options of cdzoo predict", "", optional=True)
        options.setFlags(options.flags() | advanced)
        for parameter in (
            QgsProcessingParameterRasterLayer("BEFORE", "Image before"),
            QgsProcessingParameterRasterLayer("AFTER", "Image after"),
            QgsProcessingParameterString("MODEL", "Model", "", optional=True),
            number("THRESHOLD", "Threshold", number.Double, None, optional=True, minValue=0.001, maxValue=0.999),
            area,
            python,
            options,
            QgsProcessingParameterRasterDestination("OUTPUT", "Change map"),
            QgsProcessingParameterVectorDestination("POLYGONS", "Changed areas", optional=True),
            QgsProcessingParameterRasterDestination("PROBABILITY", "Probability", optional=True, createByDefault=False),
        ):
            self.addParameter(parameter)

    def processAlgorithm(self, parameters, context, feedback):
        python = find_python(self.parameterAsString(parameters, "PYTHON", context).strip())
        check_cdzoo(python)
        QgsSettings().setValue(SETTING, python)
        dates = [local_file(self.parameterAsRasterLayer(parameters, name, context)) for name in ("BEFORE", "AFTER")]
        outputs = {"OUTPUT": self.parameterAsOutputLayer(parameters, "OUTPUT", context)}
        words = [*dates, "--output", outputs["OUTPUT"], "--progress", "true"]
        for name, option in (("POLYGONS", "--polygons"), ("PROBABILITY", "--probability")):
            if parameters.get(name) is not None:
                outputs[name] = self.parameterAsOutputLayer(parameters, name, context)
                words += [option, outputs[name]]
        if model := self.parameterAsString(parameters, "MODEL", context).strip():
            words += ["--model", model]
        if parameters.get("THRESHOLD") is not None:
            words += ["--threshold", f"{self.parameterAsDouble(parameters, 'THRESHOLD', context):g}"]
        if "POLYGONS" in outputs:
            words += ["--min-area", f"{self.parameterAsDouble(parameters, 'MIN_AREA', context):g}"]
        try:
            words += shlex.split(self.parameterAsString(parameters, "OPTIONS", context))
        except ValueError as error:
            raise QgsProcessingException(f"Further options: {error}; write them as in a terminal") from error
        feedback.pushCommandInfo(shlex.join(["cdzoo", "predict", *words]))
        run([python, "-m", "cdzoo", "predict", *words], feedback)
        if feedback.isCanceled():
            return {}
        for file in outputs.values():
            if context.willLoadLayerOnCompletion(file):
                ALIVE.append(DefaultStyle())
                context.layerToLoadOnCompletionDetails(file).setPostProcessor(ALIVE[-1])
        return outputs


def find_python(given):
    """Return the program of the Python of cdzoo: `given`, or that of the environment whose folder it is."""
    if not given:
        raise QgsProcessingException(
            "Set 'Python of cdzoo': the Python, or the folder of the virtual environment, in which cdzoo is installed. To "
            f"install it: {INSTALL}"
        )
    folder = Path(given).expanduser()
    places = ("bin/python", "Scripts/python.exe", "python.exe")  # of Linux and macOS, of Windows, of conda on Windows
    for program in [folder / place for place in places] if folder.is_dir() else [folder]:
        if program.is_file():
            return os.path.abspath(program)  # not its target: a link in the folder of an environment stands for that
    raise QgsProcessingException(f"{given}: no Python, and no folder of an environment with one. To install cdzoo: {INSTALL}")


def check_cdzoo(python):
    """Raise `QgsProcessingException` unless a Python has cdzoo."""
    try:
        done = subprocess.run([python, "-m", "cdzoo", "--version"], stderr=subprocess.PIPE, **pipes())
    except OSError as error:
        raise QgsProcessingException(f"{python}: cannot be started ({error})") from error
    if done.returncode:
        raise QgsProcessingException(
            f"{python}: has no cdzoo that starts ({done.stderr.strip()[-300:]}). Install it there: {python} -m pip install "
            "'cdzoo[geo]'"
        )


def local_file(layer):
    """Return the file of a raster layer."""
    file = "" if layer is None else layer.source().partition("|")[0]
    if not Path(file).is_file():
        title = "A layer" if layer is None else layer.name()
        raise QgsProcessingException(f"{title}: not a local file; save it as a GeoTIFF first (Layer > Save As)")
    return file


def run(command, feedback):
    """Run a command and report its output, its progress and its errors; end it when the user cancels."""
    lines, last = queue.Queue(), []
    process = subprocess.Popen(command, stderr=subprocess.STDOUT, **pipes())
    reader = threading.Thread(target=read, args=(process.stdout, lines), daemon=True)
    reader.start()
    while reader.is_alive() or not lines.empty():
        if feedback.isCanceled():
            process.terminate()  # the predicted blocks are kept: the same run resumes
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            return
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        if share := re.search(r"predicting: +(\d+)%", line):
            feedback.setProgress(int(share[1]))
        else:
            feedback.pushInfo(line)
            last = [*last[-4:], line]
    if process.wait():
        error = [line for line in last if ": error: " in line]
        raise QgsProcessingException("\n".join(error or last) or f"cdzoo ended with code {process.returncode}")


def read(pipe, lines):
    """Put the lines of a pipe into a queue; a progress bar ends each of its states with a carriage return."""
    with pipe:
        for line in pipe:
            if line.strip():
                lines.put(line.rstrip())


def pipes():
    """Return the options of a process whose output is read as text, and that opens no window."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
    return {**options, "env": environment(), "creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}


def environment():
    """Return the environment variables without those of QGIS."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**kept, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
