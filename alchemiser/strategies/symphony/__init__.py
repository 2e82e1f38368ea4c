"""The symphony language: text, checked tree, evaluation, explanation."""
