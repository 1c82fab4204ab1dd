//! What follows from what a server says of a mailing while it is sent.
//!
//! Invariant: a mailing goes on only while its approval is the last that was heard of it. A server that cannot be
//! reached has taken nothing back.

use crate::client::{ClientError, ErrorKind};
use crate::domain::Timestamp;
use crate::jobs::mailing::{Order, Wanted};
use crate::wire::proto;

/// What to do about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is approved, or nothing was said.
    GoOn,
    /// The server says nothing to whoever asks like this, or knows nothing of it.
    Refused(Order),
    /// It is not to be sent any more.
    Ended(Order),
}

/// Judges the answer to the question for change `number`, which is to be `signed`.
pub(super) fn verdict(
    number: u64,
    signed: &proto::Mailing,
    answer: Result<proto::GetMailingResponse, ClientError>,
    at: Timestamp,
) -> Verdict {
    let refused = |by: String| Verdict::Refused(Order { wanted: Wanted::Pause, by, at });
    match answer {
        // It may be another server, or an older copy: what it does not know it has not taken back.
        Ok(found) if found.mailing.as_ref() != Some(signed) => {
            refused(format!("the server knows another mailing as change {number}"))
        }
        Ok(found) if found.state() != proto::ChangeState::Approved => {
            let by = format!("change {number} was taken back by {}", found.stopped_by);
            Verdict::Ended(Order { wanted: Wanted::Cancel, by, at })
        }
        Ok(_) => Verdict::GoOn,
        Err(error) => match error.kind {
            ErrorKind::NotFound => refused(format!("the server knows of no change {number}")),
            ErrorKind::NotAllowed | ErrorKind::Unknown => {
                refused(format!("the server does not say whether change {number} is approved"))
            }
            ErrorKind::Unreachable
            | ErrorKind::Conflict
            | ErrorKind::Invalid
            | ErrorKind::Other => Verdict::GoOn,
        },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proto::ChangeState;

    #[test]
    fn a_mailing_goes_on_only_while_nothing_but_its_approval_is_heard() {
        let signed = proto::Mailing { id: "m".to_owned(), ..proto::Mailing::default() };
        let answer = |state: ChangeState, mailing: &proto::Mailing| {
            Ok(proto::GetMailingResponse {
                state: state.into(),
                mailing: Some(mailing.clone()),
                stopped_by: "zoe".to_owned(),
                ..proto::GetMailingResponse::default()
            })
        };
        let error = |kind| {
            Err(ClientError {
                kind,
                message: String::new(),
                reason: None,
                thing: None,
                fields: Vec::new(),
            })
        };
        let other = proto::Mailing { id: "n".to_owned(), ..signed.clone() };
        for (answer, wanted, why) in [
            (answer(ChangeState::Approved, &signed), None, "it is approved"),
            (answer(ChangeState::Withdrawn, &signed), Some(Wanted::Cancel), "it was taken back"),
            (answer(ChangeState::Proposed, &signed), Some(Wanted::Cancel), "it is not approved"),
            (answer(ChangeState::Approved, &other), Some(Wanted::Pause), "another history"),
            (answer(ChangeState::Withdrawn, &other), Some(Wanted::Pause), "another history"),
            (error(ErrorKind::NotFound), Some(Wanted::Pause), "another server"),
            (error(ErrorKind::NotAllowed), Some(Wanted::Pause), "it cannot be seen"),
            (error(ErrorKind::Unknown), Some(Wanted::Pause), "it cannot be seen"),
            (error(ErrorKind::Unreachable), None, "nothing is taken back"),
            (error(ErrorKind::Other), None, "nothing is taken back"),
        ] {
            let at = "2026-12-01T12:00:00Z".parse().unwrap();
            let found = match verdict(3, &signed, answer, at) {
                Verdict::GoOn => None,
                Verdict::Refused(order) | Verdict::Ended(order) => Some(order.wanted),
            };
            assert_eq!(found, wanted, "{why}");
        }
    }
}
