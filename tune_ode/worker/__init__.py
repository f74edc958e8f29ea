"""The process of one trial: its task and its watchdog."""
