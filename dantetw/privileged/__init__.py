"""
Work that takes the privileges of ``user.privileged``, and the processes that do it.

- :mod:`.privileges`: drops them for good, and keeps what still needs them
  (:mod:`dantetw.auth.privileges` lists that): :mod:`.direct` does it in this process,
  :mod:`.remote` has it done by the privileged helper.
- :mod:`.helper`: that process; :mod:`.requests`: the wire to it; :mod:`.permitted`: what it may do;
  :mod:`.peers`: who may ask it, and how much; :mod:`.reports`: what it reports; :mod:`.watch`
  notices its end.
- :mod:`.paths` opens what names lead to unless an untrusted user has a hand in it.
"""
