from .classes import GRADES as GRADES
from .classes import LAND_COVER as LAND_COVER
from .scenes import Scene as Scene
from .scenes import SyntheticScenes as SyntheticScenes
from .scenes import make_scene as make_scene
