"""
Fuzz targets: programs that look for bytes which break a parser.

Each takes hostile bytes and checks what must hold for all of them; an exception is a find.  They
are guided by coverage with Atheris, and begin with the seeds of the repository::

    .venv/bin/pip install -e '.[fuzz]'
    .venv/bin/python -m fuzz.wire -max_total_time=60
    .venv/bin/python -m fuzz.configuration -max_total_time=60

- :mod:`fuzz.wire`: what a client may send before it is relayed, and the header of a datagram
- :mod:`fuzz.configuration`: configuration files
- :mod:`fuzz.driver`: seeds, and the loop by Atheris

What one finds becomes a seed (``fuzz/seeds/TARGET/``) and a test.  The seeds are tests too:
``tests/test_fuzz.py`` needs no Atheris.
"""
