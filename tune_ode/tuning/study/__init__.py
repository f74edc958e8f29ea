"""The Optuna study: samplers, storage, objectives, warm starts."""
