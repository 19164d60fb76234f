"""The page of `cdzoo app`: change detection in a browser, on this machine."""
