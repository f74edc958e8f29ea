"""Runs as a collection: find one by path, name or `latest`; list those of a folder."""
