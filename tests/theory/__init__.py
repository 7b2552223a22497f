"""Tests of ufmflow.theory; a package, so that its modules can share the explicit matrices and keep their names."""
