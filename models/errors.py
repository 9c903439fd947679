"""What can be wrong with a model's settings."""


class ModelError(ValueError):
    """A model that cannot be built from the settings given."""
