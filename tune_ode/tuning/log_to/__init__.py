"""Targets of `--log-to`: TensorBoard, MLflow, Weights & Biases."""
