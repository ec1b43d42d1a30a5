"""What reads each key of a config, and what a value there may be: known from signatures, told in two lines."""
