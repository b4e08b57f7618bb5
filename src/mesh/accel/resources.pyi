def diff(
    held: dict[str, bytes], offered: list[tuple[str, bytes]]
) -> tuple[list[tuple[str, bytes]], list[str], list[str]]:
    """(updated, removed, duplicated) that take `held`, name to bytes, to `offered`."""
