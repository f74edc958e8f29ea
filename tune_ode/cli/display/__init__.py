"""Live terminal displays."""
