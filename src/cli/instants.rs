//! Instants between people, flags and the wire.
//!
//! People write an instant with its offset, or a local time and `--zone`. What one of the two cannot
//! tell apart is refused with both readings named; nothing is guessed.

use super::exit::{Exit, Failure};
use crate::domain::{Date, Timestamp};
use crate::rules::instant;
use crate::wire::time;

/// In which zone local times are meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ZoneArgs {
    /// Time zone of instants that are written without an offset, such as Europe/London
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

impl ZoneArgs {
    /// The zone's name, if one was given.
    #[cfg(feature = "mail")]
    pub(super) fn name(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Reads what was written after `flag`.
    pub(super) fn read(&self, flag: &str, text: &str) -> Result<Timestamp, Failure> {
        instant::parse(text, self.zone.as_deref()).map_err(|error| {
            let failure = Failure::usage(format_args!("{flag} is no instant")).because(error);
            match self.zone {
                Some(_) => failure,
                None => failure.help("write an offset, or say --zone for a local time"),
            }
        })
    }

    /// The same for a flag that may be absent, in the form of the wire.
    pub(super) fn read_wire(
        &self,
        flag: &str,
        text: Option<&String>,
    ) -> Result<Option<prost_types::Timestamp>, Failure> {
        text.map(|text| self.read(flag, text).map(time::write)).transpose()
    }
}

/// Reads a day; for `value_parser`.
pub(super) fn day(text: &str) -> Result<Date, String> {
    instant::parse_day(text).map_err(|error| error.to_string())
}

/// An instant of a request file, which always has an offset.
pub(super) fn exact(field: &str, text: &str) -> Result<prost_types::Timestamp, Failure> {
    instant::parse(text, None)
        .map(time::write)
        .map_err(|error| Failure::usage(format_args!("{field} is no instant")).because(error))
}

/// As text in UTC; what no calendar shows is refused.
pub(super) fn shown(wire: Option<&prost_types::Timestamp>) -> Result<Option<String>, Failure> {
    let broken = || Failure::new(Exit::Failure, "the server sent an instant that is none");
    wire.map(|wire| Ok(time::read(wire).ok_or_else(broken)?.to_string())).transpose()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_hour_that_came_twice_is_refused_and_both_readings_are_named() {
        let london = ZoneArgs { zone: Some("Europe/London".to_owned()) };
        let refused = format!("{:?}", london.read("--from", "2024-10-27 01:30").unwrap_err());
        assert!(refused.contains("2024-10-27T01:30:00+01:00"), "{refused}");
        assert!(refused.contains("2024-10-27T01:30:00+00:00"), "{refused}");
        let read = london.read("--from", "2024-07-01 12:00").unwrap();
        assert_eq!(read.to_string(), "2024-07-01T11:00:00Z");
        assert!(ZoneArgs { zone: None }.read("--from", "2024-07-01 12:00").is_err());
    }
}
