"""What runs in a trial's process."""
