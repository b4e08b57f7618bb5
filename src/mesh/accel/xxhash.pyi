def xxh64(data: bytes) -> int:
    """xxHash64 with seed 0, as an unsigned integer."""
