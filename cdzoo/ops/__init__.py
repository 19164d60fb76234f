"""Selective scans of maps and sequences, with several backends.

``ss2d_scan`` scans maps along several directions; ``selective_scan`` scans sequences with the interface of mamba-ssm. The package
imports only torch; a backend is imported when the first scan runs.
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
