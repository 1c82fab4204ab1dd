//! Which log lines are written, as it stands now: `RUST_LOG`, or what the settings say.
//!
//! Invariant: a filter that does not read changes nothing.

use super::TelemetryError;
use std::fmt;
use std::sync::Arc;
use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::reload;

/// What is put before the setting: h2 warns of each connection that breaks a rule, and whoever breaks rules
/// must not be able to fill the disk. Somebody who wants to see it says `h2=warn`.
const BEFORE: &str = "h2=error";

/// The setting's name, as its errors tell it.
const SETTING: &str = "log_filter";

type Replace = Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// The filters of everything that log lines go to.
#[derive(Clone)]
pub struct LogFilters {
    /// Which of the two says what is written.
    name: &'static str,
    outranked: bool,
    text: String,
    all: Vec<Replace>,
}

impl fmt::Debug for LogFilters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFilters").field("text", &self.text).finish_non_exhaustive()
    }
}

impl LogFilters {
    pub(super) fn new(variable: Option<String>, setting: &str) -> Self {
        let (name, outranked) = match variable {
            Some(_) => ("RUST_LOG", true),
            None => (SETTING, false),
        };
        let text = variable.unwrap_or_else(|| with_before(setting));
        Self { name, outranked, text, all: Vec::new() }
    }

    /// A filter for one more place that log lines go to.
    pub(super) fn one_more<S: Subscriber>(
        &mut self,
    ) -> Result<reload::Layer<EnvFilter, S>, TelemetryError> {
        let (filter, handle) = reload::Layer::new(read(self.name, &self.text)?);
        self.all.push(Arc::new(move |filter| handle.reload(filter)));
        Ok(filter)
    }

    /// Writes what `filter` lets through from now on; says whether `RUST_LOG` leaves that to it.
    ///
    /// # Errors
    /// When it does not read.
    pub fn set(&self, filter: &str) -> Result<bool, TelemetryError> {
        // A filter cannot be copied, so each place has one of its own.
        let read: Result<Vec<_>, _> =
            self.all.iter().map(|_| read(SETTING, &with_before(filter))).collect();
        let read = read?;
        if self.outranked {
            return Ok(false);
        }
        for (replace, filter) in self.all.iter().zip(read) {
            replace(filter).map_err(TelemetryError::Filtering)?;
        }
        Ok(true)
    }
}

fn read(name: &'static str, text: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(text).map_err(|source| TelemetryError::Filter { name, source })
}

fn with_before(setting: &str) -> String {
    format!("{BEFORE},{setting}")
}
