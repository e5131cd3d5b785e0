"""What the package is; settings of tools stand in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "dantetw/__init__.py").read_text())

setup(
    name="dantetw",
    version=VERSION.group(1),
    description="A SOCKS server on Twisted that reads Dante's sockd.conf and writes Dante's log",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="MIT",
    python_requires=">=3.11",
    packages=[*find_packages(include=["dantetw", "dantetw.*"]), "twisted.plugins"],
    package_dir={"": "."},
    # An editable install must put this folder itself on the path: Twisted looks for plugins there,
    # and knows nothing of the import hooks that setuptools would use.
    options={"editable_wheel": {"mode": "compat"}},
    package_data={"dantetw": ["py.typed"]},
    install_requires=["twisted>=24.7", "zope.interface>=6", "service-identity>=24"],
    extras_require={
        "users": ["bcrypt>=4.1"],
        "pam": ["pamela>=1.2"],
        "test": [
            "bcrypt>=4.1",
            "docutils>=0.20",
            "hypothesis>=6.100",
            "jsonschema>=4.20",
            "pamela>=1.2",
            "PySocks>=1.7",
        ],
        "lint": [
            "ruff==0.17.6",
            "mypy==2.4.1",
            "mypy-zope==1.0.17",
            "pre-commit==4.7.0",
            "pre-commit-hooks==6.0.0",
            "towncrier==26.9.0",
            "coverage>=7.6",
        ],
        "docs": ["sphinx==9.0.4"],
        "fuzz": ["atheris>=2.3"],
    },
    entry_points={"console_scripts": ["sockd = dantetw.cli.main:main"]},
    classifiers=[
        "Framework :: Twisted",
        "Operating System :: POSIX",
        "Programming Language :: Python :: Implementation :: CPython",
        "Programming Language :: Python :: Implementation :: PyPy",
        "Topic :: Internet :: Proxy Servers",
        "Typing :: Typed",
    ],
)
