//! What can go wrong between us and a server, sorted by what may be done about it.
//!
//! Invariant: only [`Trouble::Lost`] leaves open whether something was written; all others say that
//! nothing was.

use super::access::Address;
use redis::{ErrorKind, RedisError};

/// What went wrong below, for the log.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call has no reply that could be used.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody there, or nobody that takes writes: look for the primary again.
    Away {
        /// Where the server says it is instead.
        instead: Option<Address>,
        source: BoxError,
    },
    /// The server is there and cannot now: ask it again in a moment.
    Busy(BoxError),
    /// The server refuses, and will until somebody mends the cause.
    Refused(BoxError),
    /// It was sent, and no answer came, or none that makes sense.
    Lost(BoxError),
}

impl Trouble {
    pub(crate) fn away(source: impl Into<BoxError>) -> Self {
        Self::Away { instead: None, source: source.into() }
    }

    /// What an error means that a server answered with, or that came up while waiting for its answer.
    pub(crate) fn of(error: RedisError) -> Self {
        let Some(code) = error.code() else { return Self::Lost(error.into()) };
        match code {
            "MOVED" => {
                let instead = error
                    .redirect_node()
                    .map(|(address, _)| address)
                    .and_then(|address| address.rsplit_once(':'))
                    .and_then(|(host, port)| {
                        let host = host.trim_matches(['[', ']']).to_owned();
                        Some(Address { host, port: port.parse().ok()? })
                    })
                    .filter(|address| !address.host.is_empty());
                Self::Away { instead, source: error.into() }
            }
            "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" => Self::away(error),
            "LOADING" | "BUSY" | "TRYAGAIN" | "ASK" | "NOREPLICAS" => Self::Busy(error.into()),
            // It is the primary no longer, and was while it waited for others.
            "UNBLOCKED" => Self::Lost(error.into()),
            // All else that a server says it says before it writes: no room, no right, no password.
            _ => Self::Refused(error.into()),
        }
    }

    /// What it means that no connection was made. Nothing of ours was sent on it.
    pub(crate) fn connecting(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => {
                Self::Refused(error.into())
            }
            _ => match Self::of(error) {
                Self::Lost(source) => Self::away(source),
                other => other,
            },
        }
    }

    /// Whether asking again can help.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Busy(_))
    }

    /// What is behind it.
    pub(crate) fn source(self) -> BoxError {
        let (Self::Away { source, .. }
        | Self::Busy(source)
        | Self::Refused(source)
        | Self::Lost(source)) = self;
        source
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_answers_tells_whether_to_ask_again() {
        for (said, expected) in [
            ("-NOREPLICAS Not enough good replicas to write.\r\n", "busy"),
            ("-LOADING Redis is loading the dataset in memory\r\n", "busy"),
            ("-READONLY You can't write against a read only replica.\r\n", "away"),
            ("-UNBLOCKED force unblock from blocking operation\r\n", "lost"),
            ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "refused"),
            ("-NOPERM this user has no permissions\r\n", "refused"),
        ] {
            let error = redis::parse_redis_value(said.as_bytes())
                .and_then(redis::Value::extract_error)
                .unwrap_err();
            let found = match Trouble::of(error) {
                Trouble::Away { .. } => "away",
                Trouble::Busy(_) => "busy",
                Trouble::Refused(_) => "refused",
                Trouble::Lost(_) => "lost",
            };
            assert_eq!(found, expected, "{said}");
        }
    }
}
