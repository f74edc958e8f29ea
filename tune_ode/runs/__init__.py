"""Run directories: writing, reading, locking, remote storage."""
