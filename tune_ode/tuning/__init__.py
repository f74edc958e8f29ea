"""The search: options, plan, launch; its state machine, Optuna study and Ray backend."""
