//! Writes the record of one decision: all that is needed to decide it again.
//!
//! What a caller said about the customer is written as it was said, date of birth and own attributes
//! included, since a decision can be replayed from nothing less. An attribute that was said and could not
//! be read is `null`; one that was not said is not there.
//!
//! Invariant: [`read`](super::Recorded) gives back the request that was decided, but for the ids of
//! customers where those are keyed.

use super::CustomerIds;
use super::text::{attribute, instant, number, text};
use crate::domain::{Attribute, CheckRequest, Customer, Decision, Holding, Timestamp};
use std::time::Duration;
use uuid::Uuid;

/// What was decided, and what a caller was told of it.
#[derive(Debug)]
pub struct Told<'a, 't, 's> {
    /// The decision's own id.
    pub id: Uuid,
    /// Who asked, where that is known.
    pub caller: Option<&'a str>,
    /// What was asked.
    pub request: &'a CheckRequest<'t>,
    /// What was decided, after the rules' age was looked at.
    pub decision: &'a Decision<'s>,
    /// First instant at which to ask anew.
    pub valid_until: Timestamp,
    /// The instant that counts.
    pub now: Timestamp,
    /// What the wall clock said: the same, unless it is behind the newest change. Then both may decide.
    pub wall: Timestamp,
    /// The staleness limit.
    pub limit: Duration,
    /// Whether the rules were too old, or may have been.
    pub stale: bool,
    /// The place in history that the decision rests on; empty without rules.
    pub token: &'a str,
    /// How old the proof was that these are the newest rules, where one is needed.
    pub proof_age: Option<Duration>,
}

impl Told<'_, '_, '_> {
    /// Appends the record as JSON, without its first brace, number and chain hash: those are known when
    /// it is put in its place.
    pub fn write(&self, ids: &CustomerIds, out: &mut Vec<u8>) {
        let Self { decision, .. } = self;
        out.extend_from_slice(b"\"id\":\"");
        let mut id = Uuid::encode_buffer();
        out.extend_from_slice(self.id.as_hyphenated().encode_lower(&mut id).as_bytes());
        out.extend_from_slice(b"\",\"at\":");
        instant(out, decision.as_of);
        if let Some(caller) = self.caller {
            out.extend_from_slice(b",\"caller\":");
            text(out, caller);
        }
        out.extend_from_slice(b",\"request\":");
        write_request(self.request, ids, out);
        out.extend_from_slice(b",\"outcome\":\"");
        out.extend_from_slice(decision.outcome.name().as_bytes());
        out.extend_from_slice(b"\",\"reasons\":");
        list(out, &decision.reasons, |out, reason| match &reason.attribute {
            None => plain(out, reason.code.name()),
            Some(attribute) => text(out, &format!("{}:{attribute}", reason.code.name())),
        });
        if !decision.suspensions.is_empty() {
            out.extend_from_slice(b",\"suspensions\":");
            list(out, &decision.suspensions, |out, reported| {
                out.extend_from_slice(b"{\"id\":");
                plain(out, reported.suspension.id.as_str());
                out.extend_from_slice(b",\"code\":");
                plain(out, reported.code.name());
                out.push(b'}');
            });
        }
        if !decision.exemptions.is_empty() {
            out.extend_from_slice(b",\"exemptions\":");
            list(out, &decision.exemptions, |out, exemption| plain(out, exemption.id.as_str()));
        }
        if !decision.grandfathered.is_empty() {
            out.extend_from_slice(b",\"grandfathered\":");
            list(out, &decision.grandfathered, |out, id| plain(out, id.as_str()));
        }
        if let Some(alternate) = &decision.alternate {
            out.extend_from_slice(b",\"alternate\":");
            plain(out, alternate.as_str());
        }
        out.extend_from_slice(b",\"valid_until\":");
        instant(out, self.valid_until);
        self.write_evidence(out);
    }

    fn write_evidence(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"revision\":");
        number(out, self.decision.revision.0);
        if !self.token.is_empty() {
            out.extend_from_slice(b",\"token\":");
            plain(out, self.token);
        }
        out.extend_from_slice(b",\"limit_ms\":");
        number(out, millis(self.limit));
        if self.wall != self.now {
            out.extend_from_slice(b",\"now\":");
            instant(out, self.now);
            out.extend_from_slice(b",\"wall\":");
            instant(out, self.wall);
        }
        if self.stale {
            out.extend_from_slice(b",\"stale\":true");
        }
        if let Some(age) = self.proof_age {
            out.extend_from_slice(b",\"proof_age_ms\":");
            number(out, millis(age));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A text of a closed list or an id, which needs no escape.
fn plain(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn list<T>(out: &mut Vec<u8>, things: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    for (place, thing) in things.iter().enumerate() {
        out.push(if place == 0 { b'[' } else { b',' });
        write(out, thing);
    }
    out.extend_from_slice(if things.is_empty() { b"[]" } else { b"]" });
}

/// Writes what was asked, as `check --request` reads it.
fn write_request(request: &CheckRequest<'_>, ids: &CustomerIds, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"customer\":");
    write_customer(&request.customer, ids, out);
    out.extend_from_slice(b",\"offer\":");
    text(out, request.offer);
    out.extend_from_slice(b",\"action\":");
    plain(out, request.action.name());
    said(out, "channel", request.channel, text);
    said(out, "device", request.device, text);
    out.push(b'}');
}

fn write_customer(customer: &Customer<'_>, ids: &CustomerIds, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    ids.write(out, customer.id);
    said(out, "relationship", customer.relationship, |out, value| plain(out, value.name()));
    said(out, "country", customer.country, |out, value| plain(out, value.code()));
    said(out, "segment", customer.segment, text);
    said(out, "us_person", customer.us_person, flag);
    said(out, "date_of_birth", customer.date_of_birth, |out, value| {
        plain(out, &value.to_string());
    });
    said(out, "vulnerable", customer.vulnerable, flag);
    said(out, "holding", customer.holding.as_ref(), |out, value| write_holding(value, ids, out));
    if !customer.attributes.is_empty() {
        out.extend_from_slice(b",\"attributes\":");
        map(out, &customer.attributes, |out, value| attribute(out, *value));
    }
    if !customer.holdings.is_empty() {
        out.extend_from_slice(b",\"holdings\":");
        map(out, &customer.holdings, |out, holding| write_holding(holding, ids, out));
    }
    out.push(b'}');
}

fn write_holding(holding: &Holding<'_>, ids: &CustomerIds, out: &mut Vec<u8>) {
    let start = out.len();
    said(out, "status", holding.status, |out, value| plain(out, value.name()));
    said(out, "accepted_at", holding.accepted_at, instant);
    said(out, "term_end", holding.term_end, instant);
    said(out, "covered_by", holding.covered_by, |out, id| ids.write(out, id));
    said(out, "unit_count", holding.unit_count, |out, count| number(out, u64::from(count)));
    match out.get_mut(start) {
        // The comma before the first field becomes the brace.
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

fn flag(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Writes `,"NAME":VALUE` of what was said.
fn said<T>(
    out: &mut Vec<u8>,
    name: &str,
    given: Attribute<T>,
    write: impl FnOnce(&mut Vec<u8>, T),
) {
    if matches!(given, Attribute::Missing) {
        return;
    }
    out.push(b',');
    plain(out, name);
    out.push(b':');
    match given {
        Attribute::Known(value) => write(out, value),
        Attribute::Missing | Attribute::Invalid => out.extend_from_slice(b"null"),
    }
}

fn map<T>(out: &mut Vec<u8>, entries: &[(&str, T)], write: impl Fn(&mut Vec<u8>, &T)) {
    for (place, (name, value)) in entries.iter().enumerate() {
        out.push(if place == 0 { b'{' } else { b',' });
        text(out, name);
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}
