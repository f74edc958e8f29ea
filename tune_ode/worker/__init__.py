"""The process of one trial: its task, its signals, its watchdog."""
