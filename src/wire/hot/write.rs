//! Writes an answer to its wire bytes.

use crate::domain::{
    Advisory, CustomerMessage, Decision, ReasonCode, ReportedSuspension, Timestamp,
};
use crate::wire::decision::{Evidence, outcome, reason_code};
use crate::wire::time;

/// Appends the wire bytes of a `CheckEligibilityResponse`.
pub fn write_answer(decision: &Decision, evidence: &Evidence<'_>, out: &mut Vec<u8>) {
    message(out, 1, |out| write_decision(decision, evidence, out));
}

fn write_decision(decision: &Decision, evidence: &Evidence<'_>, out: &mut Vec<u8>) {
    number(out, 1, outcome(decision.outcome) as u64);
    for reason in &decision.reasons {
        message(out, 2, |out| {
            write_code(out, 1, reason.code);
            text(out, 2, reason.attribute.as_ref().map_or("", |attribute| attribute.as_str()));
        });
    }
    for reported in &decision.suspensions {
        message(out, 3, |out| write_notice(reported, evidence, out));
    }
    for exemption in &decision.exemptions {
        text(out, 4, exemption.id.as_str());
    }
    for suspension in &decision.grandfathered {
        text(out, 5, suspension.as_str());
    }
    if let Some(alternate) = &decision.alternate {
        text(out, 6, alternate.as_str());
    }
    instant(out, 7, evidence.valid_until);
    text(out, 8, evidence.decision_id);
    instant(out, 9, decision.as_of);
    number(out, 10, decision.revision.0);
    text(out, 11, evidence.token);
    if let Some(age) = evidence.rules_age {
        let written = time::write_duration(age);
        pair(out, 12, written.seconds, written.nanos);
    }
}

fn write_notice(reported: &ReportedSuspension, evidence: &Evidence<'_>, out: &mut Vec<u8>) {
    let suspension = &reported.suspension;
    text(out, 1, suspension.id.as_str());
    write_code(out, 2, reported.code);
    if let Some(given) = &suspension.customer_message {
        message(out, 3, |out| match given {
            CustomerMessage::Text(given) => text(out, 1, given),
            CustomerMessage::ByLanguage(texts) => {
                for (language, given) in texts {
                    message(out, 2, |out| {
                        text(out, 1, language);
                        text(out, 2, given);
                    });
                }
            }
        });
    }
    for id in &suspension.advisories {
        let advisory = evidence.advisories.get(id);
        let optional = |field: fn(&Advisory) -> &Option<String>| {
            advisory.and_then(|advisory| field(advisory).as_deref()).unwrap_or_default()
        };
        message(out, 4, |out| {
            text(out, 1, id.as_str());
            text(out, 2, advisory.map_or("", |advisory| &advisory.issuer));
            text(out, 3, optional(|advisory| &advisory.title));
            text(out, 4, optional(|advisory| &advisory.url));
        });
    }
}

fn write_code(out: &mut Vec<u8>, tag: u8, code: ReasonCode) {
    number(out, tag, reason_code(code) as u64);
}

fn instant(out: &mut Vec<u8>, tag: u8, given: Timestamp) {
    let written = time::write(given);
    pair(out, tag, written.seconds, written.nanos);
}

/// Seconds and nanoseconds.
fn pair(out: &mut Vec<u8>, tag: u8, seconds: i64, nanos: i32) {
    message(out, tag, |out| {
        number(out, 1, seconds.cast_unsigned());
        number(out, 2, i64::from(nanos).cast_unsigned());
    });
}

/// A varint field, which is left out when it is zero.
fn number(out: &mut Vec<u8>, tag: u8, value: u64) {
    if value != 0 {
        out.push(tag << 3);
        varint(out, value);
    }
}

/// A text field, which is left out when it is empty.
fn text(out: &mut Vec<u8>, tag: u8, value: &str) {
    if !value.is_empty() {
        out.push(tag << 3 | 2);
        varint(out, value.len() as u64);
        out.extend_from_slice(value.as_bytes());
    }
}

/// A message field. Its length goes before it and is not known yet: there is room for a short one,
/// which it nearly always is, and a longer one moves the message up.
fn message(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag << 3 | 2);
    let place = out.len();
    out.push(0);
    write(out);
    let length = out.len() - place - 1;
    match (u8::try_from(length), out.get_mut(place)) {
        (Ok(short @ 0..=0x7f), Some(byte)) => *byte = short,
        _ => {
            let mut long = Vec::with_capacity(5);
            varint(&mut long, length as u64);
            out.splice(place..=place, long);
        }
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while 0x7f < value {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
