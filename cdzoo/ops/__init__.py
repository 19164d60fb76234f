"""Selective scans with a proved reference and fast backends behind one function.

``ss2d_scan`` scans maps along several directions at once, ``selective_scan`` scans sequences as mamba-ssm does. Importing
this package costs no more than torch: a backend is loaded when the first scan runs.
"""

from cdzoo.ops.backends import ScanBackend, scan_backends, set_scan_backend
from cdzoo.ops.orders import list_scan_orders, scan_index
from cdzoo.ops.scan import selective_scan, ss2d_scan

__all__ = [
    "ScanBackend",
    "list_scan_orders",
    "scan_backends",
    "scan_index",
    "selective_scan",
    "set_scan_backend",
    "ss2d_scan",
]
