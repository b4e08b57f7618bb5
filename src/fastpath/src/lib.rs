//! PyO3 glue: what Python may call of the compiled core. `src/mesh/_fastpath.pyi` documents it.
//!
//! Only conversion happens here. Whatever takes time lets go of the GIL.

#[cfg(feature = "python")]
mod glue;
