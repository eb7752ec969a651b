"""The Redis protocol (RESP2), and some of the commands: what examples/resp_server.py serves.

requests.py makes commands of bytes and replies.py bytes of replies; store.py holds the data and lets it expire;
commands.py executes commands on it. None of them knows where the bytes come from. Errors are in the words of Redis 7.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""
