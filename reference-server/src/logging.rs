//! What the program logs, where, and what never gets there.
//!
//! Logs go to standard error: readable lines, coloured only on a terminal, or one JSON object a line. The level comes
//! from `--log` or the environment variable `TR_NET_LOG`, in the notation of `tracing_subscriber::EnvFilter`
//! (`info`, `tr_net::gateway=debug`, …).
//!
//! Secrets have types that do not print them, so nothing sensitive should ever arrive here. [`Redacting`] is the second
//! line behind that: every log line passes through [`redact`], which blanks card numbers and track data whatever field
//! or message they turn up in.

use std::io::{self, IsTerminal, Write};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

pub use redact::{redact, redact_json};

use crate::clock;

mod redact;

/// Environment variable that holds the log filter when no flag does.
pub const LOG_ENV: &str = "TR_NET_LOG";

/// The filter when neither flag nor environment gives one.
pub const DEFAULT_FILTER: &str = "info";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, module, message.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// The filter is not in `EnvFilter` notation.
    #[error("the log filter {filter:?} is not understood ({reason}); try `info`, `debug` or `tr_net::gateway=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A subscriber is already in place.
    #[error("logging is already set up in this process")]
    Already,
}

/// Sets up logging to standard error for the whole process. `filter` is the flag's value; without one the environment
/// variable [`LOG_ENV`] counts, then [`DEFAULT_FILTER`].
///
/// # Errors
///
/// [`LoggingError::Filter`] when the filter cannot be read, [`LoggingError::Already`] when this ran before.
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), LoggingError> {
    let from_env = std::env::var(LOG_ENV).ok();
    let filter = filter
        .or(from_env.as_deref())
        .filter(|text| !text.trim().is_empty())
        .unwrap_or(DEFAULT_FILTER);
    let subscriber = subscriber(format, filter, io::stderr().is_terminal(), io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Already)
}

/// The subscriber that [`init`] installs, writing to any writer: for tests and for embedding.
///
/// # Errors
///
/// [`LoggingError::Filter`] when the filter cannot be read.
pub fn subscriber<M>(
    format: LogFormat,
    filter: &str,
    colours: bool,
    writer: M,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    M: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).map_err(|error| LoggingError::Filter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })?;
    let json = format == LogFormat::Json;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(ClockTime)
        .with_writer(Redacting { inner: writer, json });
    Ok(match format {
        LogFormat::Human => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// A `MakeWriter` whose writers pass each log line through [`redact`] (or [`redact_json`]) before the inner one.
#[derive(Debug, Clone)]
pub struct Redacting<M> {
    inner: M,
    json: bool,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Redacting<M> {
    type Writer = RedactingWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingWriter {
            inner: self.inner.make_writer(),
            json: self.json,
            line: Vec::new(),
        }
    }
}

/// Collects one log line, however it is cut into writes, and passes it on redacted when flushed or dropped.
#[derive(Debug)]
pub struct RedactingWriter<W: Write> {
    inner: W,
    json: bool,
    line: Vec<u8>,
}

impl<W: Write> RedactingWriter<W> {
    fn pass_on(&mut self) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        let line = core::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let clean = if self.json { redact_json(&text) } else { redact(&text) };
        self.inner.write_all(clean.as_bytes())
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for RedactingWriter<W> {
    fn drop(&mut self) {
        // A log line that cannot be written has nowhere to be reported.
        let _ = self.pass_on();
    }
}

/// The one clock, for log lines.
#[derive(Debug)]
struct ClockTime;

impl FormatTime for ClockTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> core::fmt::Result {
        writer.write_str(&clock::stamp())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn logged(format: LogFormat, colours: bool, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(format, "trace", colours, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        kept.text()
    }

    fn careless() {
        tracing::info!(pan = "4111111111111111", "read 4111 1111 1111 1111");
        tracing::warn!(pan = 4_111_111_111_111_111_u64, "as a number");
        tracing::debug!("track ;4111111111111111=30121010000012345?");
        tracing::error!(error = ?Err::<(), _>("%B4111111111111111^DOE/JANE^30121010000?"));
    }

    #[test]
    fn a_card_number_never_reaches_a_human_log() {
        for colours in [false, true] {
            let text = logged(LogFormat::Human, colours, careless);
            assert_eq!(text.lines().count(), 4, "{text}");
            assert!(!text.contains("4111"), "{text}");
            assert!(!text.contains("30121010000"), "{text}");
            assert!(!text.contains("DOE"), "{text}");
            assert_eq!(text.contains('\u{1b}'), colours);
        }
    }

    #[test]
    fn a_card_number_never_reaches_a_json_log_and_it_stays_json() {
        let text = logged(LogFormat::Json, false, careless);
        assert!(!text.contains("4111"), "{text}");
        assert!(!text.contains("30121010000"), "{text}");
        assert!(!text.contains("DOE"), "{text}");
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value.get("timestamp").is_some() && value.get("level").is_some());
        }
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn a_line_cut_into_writes_is_redacted_as_a_whole() {
        let kept = Kept::default();
        let make = Redacting {
            inner: {
                let kept = kept.clone();
                move || kept.clone()
            },
            json: false,
        };
        let mut writer = make.make_writer();
        for part in ["pan 41111", "11111", "111111 end\n"] {
            writer.write_all(part.as_bytes()).unwrap();
        }
        drop(writer);
        assert_eq!(kept.text(), "pan **************** end\n");
    }

    #[test]
    fn a_bad_filter_says_what_to_do() {
        let error = subscriber(LogFormat::Human, "tr_net=loud", false, io::sink)
            .err()
            .unwrap();
        assert!(error.to_string().contains("tr_net=loud"), "{error}");
    }
}
