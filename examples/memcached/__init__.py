"""memcached's text protocol: what examples/memcached_server.py serves.

requests.py is a framer that makes requests of bytes; store.py holds the items, lets them expire and evicts those that
nobody asked for longest; commands.py executes requests on it. None of them knows where the bytes come from.

Source: https://github.com/memcached/memcached/blob/master/doc/protocol.txt
"""
