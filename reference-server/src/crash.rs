//! Named points at which a test can kill the process, in debug builds only.
//!
//! With `TR_NET_HALT_AT` set to a point's name, the thread that reaches the point creates the file named by
//! `TR_NET_HALT_FILE` and stops there for ever, so that the test sees where the process stands and sends `kill -9`.
//! In release builds a point compiles to nothing.

/// Stops here for ever when the environment asks for this point.
#[inline]
pub fn crash_point(name: &str) {
    #[cfg(debug_assertions)]
    if is_set(name) {
        if let Some(file) = std::env::var_os("TR_NET_HALT_FILE") {
            // The test waits for this file; if it cannot be made, the test reports that it never came.
            let _ = std::fs::write(file, name);
        }
        loop {
            std::thread::park();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Whether a test asked for this point; never in release builds.
#[inline]
#[must_use]
pub fn is_set(name: &str) -> bool {
    #[cfg(debug_assertions)]
    {
        static HALT_AT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        HALT_AT.get_or_init(|| std::env::var("TR_NET_HALT_AT").ok()).as_deref() == Some(name)
    }
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        false
    }
}
