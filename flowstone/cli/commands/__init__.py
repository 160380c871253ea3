"""The commands, one a file; `flowstone/cli/app.py` lists them."""
