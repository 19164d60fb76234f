from .detector import ChangeDetector as ChangeDetector
