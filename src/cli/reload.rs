//! Reads the settings anew when a server is told to (SIGHUP), takes what can change while it runs, and says
//! what cannot.
//!
//! Invariant: settings that cannot be used change nothing; what is taken is taken whole, and the log says
//! so by name.

use super::door::{Files, refuse_what_cannot_serve};
use super::serve::limits;
use crate::config::{self, Origin, ServeArgs, Settings};
use crate::grpc::Limits;
use crate::telemetry::LogFilters;
use std::error::Error;

/// What a running server is set to, and where that can be changed.
pub(super) struct Reload {
    args: ServeArgs,
    running: Settings,
    limits: Limits,
    files: Files,
    filters: LogFilters,
}

impl Reload {
    pub(super) fn new(
        args: ServeArgs,
        running: Settings,
        limits: Limits,
        files: Files,
        filters: LogFilters,
    ) -> Self {
        Self { args, running, limits, files, filters }
    }

    /// What holds now.
    pub(super) fn running(&self) -> &Settings {
        &self.running
    }

    /// Reads settings, certificates and principals, and takes what it can of them. Waits for disks.
    pub(super) fn again(&mut self) {
        let (certificates, principals) = self.files.refresh();
        let fresh = config::load(&self.args).map_err(|errors| errors.to_string());
        let fresh =
            fresh.and_then(|fresh| match refuse_what_cannot_serve(&fresh, self.args.demo) {
                Ok(()) => Ok(fresh),
                Err(_) => Err("nobody could prove who they are".to_owned()),
            });
        let fresh = match fresh {
            Ok(fresh) => fresh,
            Err(what) => {
                return tracing::error!(
                    "The settings cannot be used, and the old ones stay: {what}"
                );
            }
        };
        if let Err(error) = self.filters.set(&fresh.load.log_filter) {
            let error = &error as &dyn Error;
            return tracing::error!(error, "The settings cannot be used, and the old ones stay");
        }
        self.limits.set(&limits(&fresh));
        let (taken, left) = self.take(fresh);
        tracing::info!(
            changed = taken.join(", "),
            certificates,
            principals,
            "Read the settings anew: {}",
            match taken.is_empty() {
                true => "none has changed that can be changed while the server runs".to_owned(),
                false => format!("from now on {}", taken.join(", ")),
            }
        );
        if !left.is_empty() {
            let left = left.join(", ");
            tracing::warn!(settings = left, "Changed, and needs a restart to take effect: {left}");
        }
    }

    /// Makes `fresh` what holds, as far as it can change; says what has changed, and what would have.
    fn take(&mut self, fresh: Settings) -> (Vec<String>, Vec<&'static str>) {
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        let Settings { origins, load, drain_timeout, .. } = fresh;
        let held = self.running.origins.iter_mut();
        for (held, Origin { name, value, place }) in held.zip(origins) {
            if held.value == value {
                continue;
            }
            if config::is_reloadable(name) {
                taken.push(format!("{name} is {value}"));
                (held.value, held.place) = (value, place);
            } else {
                left.push(name);
            }
        }
        let age = self.running.load.connection_age;
        self.running.load = config::LoadSettings { connection_age: age, ..load };
        self.running.drain_timeout = drain_timeout;
        (taken, left)
    }
}
