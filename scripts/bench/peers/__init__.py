"""The libraries that take part; a module that runs variants has them in ``VARIANTS``, by name."""
