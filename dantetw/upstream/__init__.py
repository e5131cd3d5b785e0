"""
Ways out by other proxies, one file each.  None is built yet: sessions go out by themselves.
"""
