# cython: language_level=3, cdivision=True
"""xxHash64 (seed 0), which Envoy's `version` gauges are made with."""

from libc.stdint cimport uint64_t, uint32_t
from libc.string cimport memcpy

cdef uint64_t P1 = 0x9E3779B185EBCA87ULL
cdef uint64_t P2 = 0xC2B2AE3D27D4EB4FULL
cdef uint64_t P3 = 0x165667B19E3779F9ULL
cdef uint64_t P4 = 0x85EBCA77C2B2AE63ULL
cdef uint64_t P5 = 0x27D4EB2F165667C5ULL


cdef inline uint64_t rotl(uint64_t x, int r) noexcept nogil:
    return (x << r) | (x >> (64 - r))


cdef inline uint64_t lane(uint64_t acc, const unsigned char *p) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, p, 8)
    return rotl(acc + word * P2, 31) * P1


def xxh64(bytes data not None):
    """The hash as an unsigned integer."""
    cdef const unsigned char *p = data
    cdef Py_ssize_t left = len(data)
    cdef uint64_t h, v1, v2, v3, v4
    cdef uint32_t half
    if left >= 32:
        v1, v2, v3, v4 = P1 + P2, P2, 0, 0 - P1
        while left >= 32:
            v1 = lane(v1, p)
            v2 = lane(v2, p + 8)
            v3 = lane(v3, p + 16)
            v4 = lane(v4, p + 24)
            p += 32
            left -= 32
        h = rotl(v1, 1) + rotl(v2, 7) + rotl(v3, 12) + rotl(v4, 18)
        for v in (v1, v2, v3, v4):
            h = (h ^ (rotl(<uint64_t>v * P2, 31) * P1)) * P1 + P4
    else:
        h = P5
    h += <uint64_t>len(data)
    while left >= 8:
        h = rotl(h ^ lane(0, p), 27) * P1 + P4
        p += 8
        left -= 8
    if left >= 4:
        memcpy(&half, p, 4)
        h = rotl(h ^ (half * P1), 23) * P2 + P3
        p += 4
        left -= 4
    while left > 0:
        h = rotl(h ^ (p[0] * P5), 11) * P1
        p += 1
        left -= 1
    h = (h ^ (h >> 33)) * P2
    h = (h ^ (h >> 29)) * P3
    return h ^ (h >> 32)
