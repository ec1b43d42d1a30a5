"""A model that is there already, measured with another evaluation: an old run's, or any folder's beside a start."""
