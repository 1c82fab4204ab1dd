//! Reads who asks for a change and why, the same way in every request for one.

use super::caller::{Caller, address};
use crate::domain::Revision;
use crate::service::{RequestId, Requester};
use crate::wire::{FieldErrors, MOST_TEXT};
use std::net::IpAddr;
use tonic::Request;

/// Whoever sent a request, and from where.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    caller: Caller,
    address: Option<IpAddr>,
}

impl Hand {
    /// The same, and what they sent.
    pub(super) fn of<M>(request: Request<M>) -> (Self, M) {
        let extensions = request.extensions();
        let hand = Self { caller: Caller::of(extensions), address: address(extensions) };
        (hand, request.into_inner())
    }
}

/// Who asks, as every request for a change says it. Made by [`asked`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) request_id: &'a str,
    pub(super) author: &'a str,
    pub(super) expected: Option<u64>,
    pub(super) validate_only: bool,
}

/// Takes [`Asked`] from a message: the protos give these fields the same names everywhere.
macro_rules! asked {
    ($message:ident) => {
        $crate::grpc::requester::Asked {
            request_id: &$message.request_id,
            author: &$message.author,
            expected: $message.expected_revision,
            validate_only: $message.validate_only,
        }
    };
}
pub(super) use asked;

/// Where a request says why it asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'a> {
    /// In the rule that it brings, which is read by itself: see [`because`].
    InTheRule,
    /// In fields of its own.
    Given { reason: &'a str, ticket: &'a str },
    /// The same for a rule file, which may have no ticket.
    OfAFile { reason: &'a str, ticket: &'a str },
    /// In a field that may be empty: who agrees need not say why.
    OfAnAgreement { reason: &'a str },
}

impl Asked<'_> {
    /// Reads it; `errors` holds what is wrong with the request already.
    pub(super) fn read(
        self,
        hand: &Hand,
        why: Why<'_>,
        mut errors: FieldErrors,
    ) -> Result<Requester, FieldErrors> {
        let parsed = RequestId::parse(self.request_id);
        if parsed.is_none() {
            errors.add("request_id", "is required: 1 to 128 printable ASCII characters, no space");
        }
        let author = match hand.caller.author(self.author) {
            Ok(author) => Some(author),
            Err(why) => {
                errors.add("author", why);
                None
            }
        };
        let mut text = |path: &str, text: &str, required: bool| {
            if required && text.trim().is_empty() {
                errors.add(path, "is required");
            }
            if MOST_TEXT < text.len() {
                let what = format_args!("is longer than the {MOST_TEXT} bytes that are allowed");
                errors.add(path, what);
            }
        };
        text("author", self.author, false);
        let (reason, ticket) = match why {
            Why::InTheRule => ("", ""),
            Why::Given { reason, ticket } | Why::OfAFile { reason, ticket } => {
                text("reason", reason, true);
                text("ticket", ticket, matches!(why, Why::Given { .. }));
                (reason, ticket)
            }
            Why::OfAnAgreement { reason } => {
                text("reason", reason, false);
                (reason, "")
            }
        };
        let (Some(request_id), Some(author)) = (parsed, author) else { return Err(errors) };
        errors.or(|| Requester {
            request_id,
            author,
            address: hand.address,
            reason: reason.to_owned(),
            ticket: ticket.to_owned(),
            expected: self.expected.map(Revision),
            validate_only: self.validate_only,
        })
    }
}

/// Gives a requester the reason and the ticket of the rule that it brings.
pub(super) fn because(requester: Requester, reason: &str, ticket: &str) -> Requester {
    Requester { reason: reason.to_owned(), ticket: ticket.to_owned(), ..requester }
}
