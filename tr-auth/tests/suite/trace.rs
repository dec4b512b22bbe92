//! The published trace.
