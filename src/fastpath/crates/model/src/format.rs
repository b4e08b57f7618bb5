//! Envoy's substitution format strings (`%REQ(X?Y):Z%`), parsed once and only evaluated later.
