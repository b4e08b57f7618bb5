"""The real process, driven from outside: raw sockets, curl, wrk, h2load."""
