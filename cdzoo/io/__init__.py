"""Files: atomic writes, hashes, images and rasters."""
