"""The console script `cdzoo`: `main.py` reads the command line, the other files are one group of commands each."""
