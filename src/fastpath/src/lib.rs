//! PyO3 glue: what Python may call of the compiled core.
