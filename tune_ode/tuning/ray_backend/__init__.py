"""Run trials on Ray."""
