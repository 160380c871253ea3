"""The supervision tree, one file per process."""
