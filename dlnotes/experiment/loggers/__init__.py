"""A run told to other programs while it goes: TensorBoard, MLflow, Weights & Biases."""
