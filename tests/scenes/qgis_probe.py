"""Opens files in QGIS and prints as JSON what it shows; runs in the Python that has PyQGIS."""

import json
import os
import sys

from qgis.core import QgsApplication, QgsMapRendererSequentialJob, QgsMapSettings, QgsRaster, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor


def rendered(layer):
    """Return (alpha, red, green, blue) at the center and the upper left corner of the layer, drawn alone on nothing."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setExtent(layer.extent())
    settings.setOutputSize(QSize(90, 90))
    settings.setDestinationCrs(layer.crs())
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    return [list(QColor.fromRgba(job.renderedImage().pixel(x, y)).getRgb()) for x, y in ((45, 45), (2, 2))]


def describe(path):
    """Return what QGIS shows of a raster or vector file."""
    layer = QgsRasterLayer(path, "layer") if path.endswith(".tif") else QgsVectorLayer(path, "layer", "ogr")
    if not layer.isValid():
        return None
    renderer = layer.renderer()
    found = {"renderer": renderer.type(), "pixels": rendered(layer)}
    if path.endswith(".tif"):
        values = layer.dataProvider().identify(layer.extent().center(), QgsRaster.IdentifyFormatValue).results()
        found |= {"band": layer.bandName(1), "value": values[1]}
        if renderer.type() == "paletted":
            found["classes"] = [[int(one.value), one.label, one.color.alpha()] for one in renderer.classes()]
    else:
        found |= {"features": layer.featureCount(), "labels": [item.label() for item in renderer.legendSymbolItems()]}
    return found


application = QgsApplication([], False)
application.initQgis()
print(json.dumps({path: describe(path) for path in sys.argv[1:]}), flush=True)
os._exit(0)  # QGIS may crash while it is taken down
