"""Training: one loop for pretraining and fine-tuning, on one device or many."""

from hilum.trainer.loop import Evaluator, TrainingFilms, fit, total_steps

__all__ = ["Evaluator", "TrainingFilms", "fit", "total_steps"]
