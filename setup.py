"""The Cython parts; pyproject.toml holds the rest."""

from Cython.Build import cythonize
from setuptools import setup

setup(ext_modules=cythonize(["src/mesh/accel/*.pyx"], build_dir="build/cython"))
