"""Commands that are too large for cli.py, one a module; each imports its work when it runs."""
