//! Why a call failed, sorted by what a caller can do about it.

use std::fmt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What a caller can do about a failed call. The command line turns each into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No server answers there, or not in time. A change may have landed: send it again as it is.
    Unreachable,
    /// What was named does not exist.
    NotFound,
    /// Something else was there first: the rules moved on, an id is taken, a state does not allow it.
    Conflict,
    /// The request cannot be used. Correct it.
    Invalid,
    /// The server does not know who calls.
    Unknown,
    /// The caller is known, and may not do this.
    NotAllowed,
    /// Anything else: look at the message.
    Other,
}

/// A call that failed, in words for people.
#[derive(Debug, Clone)]
pub struct ClientError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// The server's stable name for it, such as `REVISION_CONFLICT`.
    pub reason: Option<String>,
    /// What kind of thing is not there, or is there already, such as `suspension`.
    pub thing: Option<String>,
    /// The fields to correct: path and what is allowed.
    pub fields: Vec<(String, String)>,
}

impl ClientError {
    pub(super) fn address(address: &str, error: &dyn std::error::Error) -> Self {
        let message = format!("`{address}` is no address such as `127.0.0.1:7443`: {error}");
        Self { kind: ErrorKind::Invalid, message, reason: None, thing: None, fields: Vec::new() }
    }

    pub(super) fn credentials(what: impl fmt::Display) -> Self {
        let message = what.to_string();
        Self { kind: ErrorKind::Invalid, message, reason: None, thing: None, fields: Vec::new() }
    }

    /// Nothing came, or not in time. Asking again may help.
    pub(crate) fn late(what: &str) -> Self {
        let (kind, message) = (ErrorKind::Unreachable, what.to_owned());
        Self { kind, message, reason: None, thing: None, fields: Vec::new() }
    }

    pub(super) fn unreachable(
        address: &str,
        error: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        let cause = innermost(error.as_ref());
        let message = format!("no server can be reached at {address}: {cause}");
        Self {
            kind: ErrorKind::Unreachable,
            message,
            reason: None,
            thing: None,
            fields: Vec::new(),
        }
    }
}

/// The last cause: transports wrap `connection refused` in several layers that say nothing.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        // Only the transport of this side gives a cause: a connection that broke, which no server said.
        let broke = std::error::Error::source(&status).is_some();
        let kind = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded => ErrorKind::Unreachable,
            Code::Cancelled | Code::Unknown | Code::Internal if broke => ErrorKind::Unreachable,
            Code::NotFound => ErrorKind::NotFound,
            Code::Aborted | Code::AlreadyExists | Code::FailedPrecondition => ErrorKind::Conflict,
            Code::InvalidArgument | Code::OutOfRange => ErrorKind::Invalid,
            Code::Unauthenticated => ErrorKind::Unknown,
            Code::PermissionDenied => ErrorKind::NotAllowed,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => ErrorKind::Other,
        };
        let details = status.get_error_details();
        let fields = (details.bad_request().into_iter())
            .flat_map(|bad| &bad.field_violations)
            .map(|violation| (violation.field.clone(), violation.description.clone()))
            .collect();
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        let info = details.error_info();
        let reason = info.map(|info| info.reason.clone());
        let thing = info.and_then(|info| info.metadata.get("kind").cloned());
        Self { kind, message, reason, thing, fields }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.fields.iter().try_for_each(|(path, allowed)| write!(f, "\n  {path}: {allowed}"))
    }
}

impl std::error::Error for ClientError {}
