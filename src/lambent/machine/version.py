"""The version of the package: pyproject.toml takes it from here, without importing."""

VERSION = "0.1.0"
