//! Giving memory back after a configuration was taken in.
//!
//! Reading one takes several times the memory that the result does, and glibc keeps what is freed
//! in the middle of its heap. `malloc_trim` returns those pages.

use pyo3::prelude::*;

/// Lets go of the descriptors and of freed pages. Takes milliseconds: for the control side, after
/// a change.
#[pyfunction]
#[allow(unsafe_code)]
pub fn release_memory(py: Python<'_>) {
    py.detach(|| {
        model::schema::release();
        // SAFETY: malloc_trim(3) takes a number, touches only the allocator's own free memory under
        // the allocator's own locks, and may be called from any thread at any time.
        unsafe {
            libc::malloc_trim(0);
        }
    });
}
