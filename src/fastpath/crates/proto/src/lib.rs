//! Bytes to events and events to bytes: no sockets, no Python, no clock.
