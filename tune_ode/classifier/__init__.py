"""The network: stem → ODE blocks (or the baseline's residual blocks) → head."""

from tune_ode.classifier.build import Classifier, build_classifier

__all__ = ["Classifier", "build_classifier"]
