"""Run directories: create, open, read, lock, mirror to an object store."""
