"""Experiments: one file each, named by --config with its path or, where jaction is installed, with its name alone."""
