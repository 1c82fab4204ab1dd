//! The one table from our errors to gRPC's.
//!
//! Every status carries an `ErrorInfo`; bad fields come as a `BadRequest`. The caller learns what to
//! do; hosts, files and causes stay in the log line that is written here.

use crate::domain::Unalterable;
use crate::service::{LogFull, Problem, Refusal, ServiceError, StoreError};
use crate::wire::{FieldErrors, proto};
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Whose errors these are.
const DOMAIN: &str = "offergate";

/// The reason for a check that could not be recorded.
const LOG_FULL: &str = "DECISION_LOG_FULL";

/// How long to wait before a retry that can help.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Most bytes of field violations: a status travels in headers, and clients refuse large ones.
const MOST_VIOLATIONS: usize = 4000;

/// Most bytes of one violation's description.
const MOST_DESCRIPTION: usize = 400;

/// A request whose fields cannot be used.
pub(super) fn invalid(errors: &FieldErrors) -> Status {
    let fields = errors.iter().map(|error| (error.path.clone(), error.description.clone()));
    bad_request("INVALID_REQUEST", "the request cannot be used", fields)
}

/// A check that is not answered, since it could not be recorded.
pub(super) fn log_full(error: LogFull) -> Status {
    let message = error.to_string();
    failed(Code::ResourceExhausted, LOG_FULL, &message, [], Some(RETRY_AFTER))
}

/// The same as an item's own error.
pub(super) fn log_full_item(error: LogFull) -> proto::Error {
    proto::Error {
        code: Code::ResourceExhausted.into(),
        reason: LOG_FULL.to_owned(),
        message: error.to_string(),
        fields: Vec::new(),
    }
}

/// The same as an item's own error.
pub(super) fn item_error(errors: &FieldErrors) -> proto::Error {
    proto::Error {
        code: Code::InvalidArgument.into(),
        reason: "INVALID_REQUEST".to_owned(),
        message: "the request cannot be used".to_owned(),
        fields: (errors.iter())
            .map(|error| proto::FieldViolation {
                field: error.path.clone(),
                description: error.description.clone(),
            })
            .collect(),
    }
}

/// An error of a use case whose request holds no single rule.
pub(super) fn status_of(error: ServiceError) -> Status {
    status_with(error, str::to_owned)
}

/// An error of a use case whose request holds one rule: `field` of the request is `section.id` of the
/// rules.
pub(super) fn status_of_rule(error: ServiceError, section: &str, id: &str, field: &str) -> Status {
    let own = format!("{section}.{id}");
    status_with(error, |path| path_in_request(path, &own, field))
}

/// A path into the rules as a path into the request, if it leads into the rule that it holds.
fn path_in_request(path: &str, own: &str, field: &str) -> String {
    match path.strip_prefix(own) {
        Some("") => field.to_owned(),
        Some(rest) if rest.starts_with('.') => format!("{field}{}", in_proto(rest)),
        Some(_) | None => path.to_owned(),
    }
}

/// A rule file's key, spelled as the proto does. `rest` starts with a dot.
fn in_proto(rest: &str) -> String {
    const SCOPE: [&str; 10] = [
        "actions",
        "countries",
        "person_nexus",
        "segments",
        "holders",
        "relationships",
        "devices",
        "channels",
        "product_classes",
        "customers",
    ];
    let key = rest.trim_start_matches('.');
    let name = key.split(['.', '[']).next().unwrap_or_default();
    match key {
        "from" => ".from_time".to_owned(),
        "until" => ".until_time".to_owned(),
        "grandfather.until" => ".grandfather.until_time".to_owned(),
        _ if SCOPE.contains(&name) => format!(".scope.{key}"),
        _ => rest.to_owned(),
    }
}

fn status_with(error: ServiceError, path_of: impl Fn(&str) -> String) -> Status {
    let message = error.to_string();
    match error {
        ServiceError::Document(errors) => {
            let fields = errors
                .to_string()
                .lines()
                .map(|line| ("document.yaml".to_owned(), line.to_owned()))
                .collect::<Vec<_>>();
            bad_request("RULE_FILE_INVALID", &message, fields.into_iter())
        }
        ServiceError::Rules(problems) => {
            let field = |problem: Problem| (path_of(&problem.path), problem.message);
            bad_request("RULES_INVALID", &message, problems.into_iter().map(field))
        }
        ServiceError::Compile(cause) => {
            let field = (path_of(&cause.path), cause.what);
            bad_request("RULES_INVALID", &message, [field].into_iter())
        }
        ServiceError::TooMuch { most, .. } => {
            let most = most.to_string();
            failed(Code::InvalidArgument, "TOO_MUCH", &message, [("most", most)], None)
        }
        ServiceError::NotFound { kind, id } => {
            let about = [("kind", kind.to_owned()), ("id", id)];
            failed(Code::NotFound, "NOT_FOUND", &message, about, None)
        }
        ServiceError::Exists { kind, id } => {
            let about = [("kind", kind.to_owned()), ("id", id)];
            failed(Code::AlreadyExists, "ALREADY_EXISTS", &message, about, None)
        }
        ServiceError::Unalterable { id, why } => match why {
            Unalterable::Begun { from } => {
                let about = [("id", id.to_string()), ("from", from.to_string())];
                failed(Code::FailedPrecondition, "SUSPENSION_BEGUN", &message, about, None)
            }
            Unalterable::Over { .. } => {
                let about = [("id", id.to_string())];
                failed(Code::FailedPrecondition, "SUSPENSION_OVER", &message, about, None)
            }
            Unalterable::Past { field, .. } => {
                let path = path_of(&format!("suspensions.{id}.{field}"));
                bad_request("RULES_INVALID", &message, [(path, why.to_string())].into_iter())
            }
        },
        ServiceError::RevisionAhead { newest, .. } => {
            let about = [("newest", newest.to_string())];
            failed(Code::OutOfRange, "REVISION_AHEAD", &message, about, None)
        }
        ServiceError::MailingBegun { id, revision } => {
            let about = [("mailing", id.to_string()), ("revision", revision.to_string())];
            failed(Code::FailedPrecondition, "MAILING_BEGUN", &message, about, None)
        }
        ServiceError::MailingNotApproved { id } => {
            let about = [("mailing", id.to_string())];
            failed(Code::FailedPrecondition, "MAILING_NOT_APPROVED", &message, about, None)
        }
        ServiceError::Overloaded { .. } | ServiceError::TooManyWaits => too_busy(&message),
        ServiceError::TooManyPermits => {
            let after = Some(RETRY_AFTER);
            failed(Code::ResourceExhausted, "TOO_MANY_PERMITS", &message, [], after)
        }
        ServiceError::NotLoaded => {
            failed(Code::Unavailable, "RULES_UNAVAILABLE", &message, [], Some(RETRY_AFTER))
        }
        ServiceError::NotInEffect { revision, source } => {
            tracing::error!(error = &source as &dyn Error, "A stored change is not in effect");
            let about = [("revision", revision.to_string())];
            failed(Code::Unavailable, "CHANGE_NOT_IN_EFFECT", &message, about, Some(RETRY_AFTER))
        }
        ServiceError::BrokenOff => {
            tracing::error!("Work was broken off");
            failed(Code::Unavailable, "BROKEN_OFF", &message, [], Some(RETRY_AFTER))
        }
        ServiceError::Lost { revision } => {
            let about = [("revision", revision.to_string())];
            failed(Code::DataLoss, "CHANGE_LOST", &message, about, None)
        }
        ServiceError::HistoryChanged { revision } => {
            let about = [("revision", revision.to_string())];
            failed(Code::FailedPrecondition, "HISTORY_CHANGED", &message, about, None)
        }
        ServiceError::NotForked => {
            failed(Code::FailedPrecondition, "NOT_FORKED", &message, [], None)
        }
        ServiceError::NoAuditKey => {
            failed(Code::FailedPrecondition, "AUDIT_KEY_UNSET", &message, [], None)
        }
        ServiceError::LogBeingRead { read, all, retry_after } => {
            let about = [("read", read.to_string()), ("records", all.to_string())];
            failed(Code::Unavailable, "LOG_BEING_READ", &message, about, Some(retry_after))
        }
        ServiceError::JournalBehind { written, all } => {
            let about = [("written", written.to_string()), ("records", all.to_string())];
            failed(Code::Unavailable, "JOURNAL_BEHIND", &message, about, Some(RETRY_AFTER))
        }
        ServiceError::Refused(refusal) => refused(&refusal),
        ServiceError::Decided { id, revision, .. } => {
            let about = [("id", id.to_string()), ("revision", revision.to_string())];
            failed(Code::FailedPrecondition, "CHANGE_DECIDED", &message, about, None)
        }
        ServiceError::OnlyProposed { id } => {
            let about = [("id", id.to_string())];
            failed(Code::FailedPrecondition, "CHANGE_PROPOSED", &message, about, None)
        }
        ServiceError::EditedSince { id } => {
            let about = [("id", id.to_string())];
            failed(Code::Aborted, "CHANGE_EDITED", &message, about, None)
        }
        ServiceError::OtherKind { kind, .. } => {
            let about = [("kind", kind.to_owned())];
            failed(Code::FailedPrecondition, "CHANGE_OF_OTHER_KIND", &message, about, None)
        }
        ServiceError::NoDecisionLog => {
            failed(Code::FailedPrecondition, "DECISION_LOG_UNSET", &message, [], None)
        }
        ServiceError::DecisionLog(cause) => {
            tracing::error!(error = &cause as &dyn Error, "The decision log cannot be read");
            failed(Code::Internal, "DECISION_LOG_UNREADABLE", &message, [], None)
        }
        ServiceError::DecisionLogDamaged => {
            tracing::error!("A line of the decision log does not read");
            failed(Code::DataLoss, "DECISION_LOG_DAMAGED", &message, [], None)
        }
        ServiceError::NotReplayed(_) => {
            failed(Code::FailedPrecondition, "NOT_REPLAYABLE", &message, [], None)
        }
        ServiceError::Store(cause) => store_status(&cause),
    }
}

fn refused(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::NotAuthorised { .. }
        | Refusal::NotAPerson { .. }
        | Refusal::TooWeakSignIn { .. }
        | Refusal::SelfApproval { .. }
        | Refusal::TwoPersonsRequired
        | Refusal::TooWide { .. } => Code::PermissionDenied,
        Refusal::TicketRequired => Code::InvalidArgument,
        Refusal::ApprovalVoid { .. } | Refusal::ProposalLapsed { .. } => Code::FailedPrecondition,
    };
    failed(code, refusal.code(), &refusal.to_string(), [], None)
}

fn store_status(cause: &StoreError) -> Status {
    let message = cause.to_string();
    match cause {
        StoreError::Unavailable { .. } => {
            tracing::warn!(error = cause as &dyn Error, "Rule store is unavailable");
            failed(Code::Unavailable, "STORE_UNAVAILABLE", &message, [], Some(RETRY_AFTER))
        }
        StoreError::Conflict { expected, actual } => {
            let about = [("expected", expected.to_string()), ("actual", actual.to_string())];
            failed(Code::Aborted, "REVISION_CONFLICT", &message, about, None)
        }
        StoreError::RequestReused { revision, .. } => {
            let about = [("revision", revision.to_string())];
            failed(Code::AlreadyExists, "REQUEST_ID_REUSED", &message, about, None)
        }
        StoreError::NotWritten { .. } => {
            tracing::error!(error = cause as &dyn Error, "Nothing was written");
            failed(Code::Internal, "NOT_WRITTEN", &message, [], None)
        }
        StoreError::Forked => {
            failed(Code::FailedPrecondition, "HISTORY_FORKED", &message, [], None)
        }
        StoreError::Empty => failed(Code::FailedPrecondition, "STORE_EMPTY", &message, [], None),
        StoreError::Corrupt { .. } => {
            tracing::error!(error = cause as &dyn Error, "Stored data is corrupt");
            failed(Code::DataLoss, "STORE_CORRUPT", "stored data is corrupt", [], None)
        }
    }
}

fn bad_request(
    reason: &str,
    message: &str,
    fields: impl Iterator<Item = (String, String)>,
) -> Status {
    let mut details = ErrorDetails::new();
    let (mut room, mut left_out) = (MOST_VIOLATIONS, 0);
    for (path, mut description) in fields {
        description.truncate(description.floor_char_boundary(MOST_DESCRIPTION));
        let size = path.len() + description.len();
        if room < size {
            left_out += 1;
            continue;
        }
        room -= size;
        details.add_bad_request_violation(path, description);
    }
    if 0 < left_out {
        details.add_bad_request_violation("", format!("and {left_out} more"));
    }
    details.set_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// A status with its reason, and what it is about.
pub(super) fn failed<const N: usize>(
    code: Code,
    reason: &str,
    message: &str,
    about: [(&str, String); N],
    retry_after: Option<Duration>,
) -> Status {
    let mut details = ErrorDetails::new();
    let metadata: HashMap<_, _> =
        about.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    details.set_error_info(reason, DOMAIN, metadata);
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code, message, details)
}

/// A call that was given no more time.
pub(super) fn too_late() -> Status {
    let message = "the deadline passed before the answer was there";
    failed(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message, [], None)
}

/// What was refused before it reached a use case.
pub(super) fn refusal(code: Code, reason: &str, message: &str) -> Status {
    failed(code, reason, message, [], None)
}

/// A call that there is no room for now.
pub(super) fn too_busy(message: &str) -> Status {
    failed(Code::ResourceExhausted, "TOO_BUSY", message, [], Some(RETRY_AFTER))
}

/// A call that met a fault of ours.
pub(super) fn broken() -> Status {
    let message = "the call was broken off by a fault of the server";
    failed(Code::Internal, "INTERNAL", message, [], None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Revision;

    #[test]
    fn a_path_into_the_rules_becomes_a_path_into_the_request() {
        for (path, expected) in [
            ("suspensions.s.from", "suspension.from_time"),
            ("suspensions.s.grandfather.until", "suspension.grandfather.until_time"),
            ("suspensions.s.countries[1]", "suspension.scope.countries[1]"),
            ("suspensions.s.target.vendor", "suspension.target.vendor"),
            ("suspensions.s", "suspension"),
            ("vendors.v.parents", "vendors.v.parents"),
        ] {
            let mapped = path_in_request(path, "suspensions.s", "suspension");
            assert_eq!(mapped, expected);
        }
    }

    #[test]
    fn what_gets_ready_by_itself_says_how_far_it_is_and_when_to_try_again() {
        let (some, all) = (Revision(40), Revision(100));
        let retry_after = Duration::from_secs(7);
        for (error, reason, about, after) in [
            (
                ServiceError::LogBeingRead { read: some, all, retry_after },
                "LOG_BEING_READ",
                "read",
                retry_after,
            ),
            (
                ServiceError::JournalBehind { written: some, all },
                "JOURNAL_BEHIND",
                "written",
                RETRY_AFTER,
            ),
        ] {
            let status = status_of(error);
            assert_eq!(status.code(), Code::Unavailable);
            assert!(status.message().contains("40 of 100 records"), "{}", status.message());
            let details = status.get_error_details();
            let retry = details.retry_info().and_then(|info| info.retry_delay);
            assert_eq!(retry, Some(after), "{reason}");
            let info = details.error_info();
            assert_eq!(info.map(|info| info.reason.as_str()), Some(reason));
            let far = info.and_then(|info| info.metadata.get(about));
            assert_eq!(far.map(String::as_str), Some("40"));
        }
    }

    #[test]
    fn a_thousand_bad_fields_fit_the_headers_of_a_status() {
        let fields = (0..1000).map(|place| (format!("field[{place}]"), "é".repeat(500)));
        let status = bad_request("INVALID_REQUEST", "no", fields);
        assert!(status.details().len() < 6000, "{}", status.details().len());
        let details = status.get_error_details();
        let last = details.bad_request().and_then(|bad| bad.field_violations.last().cloned());
        assert!(last.is_some_and(|last| last.description.starts_with("and ")));
    }
}
