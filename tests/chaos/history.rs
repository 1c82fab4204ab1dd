//! What clients of a fleet saw: each call with when it was sent and when it was answered, one JSON
//! line each.
//!
//! All times are nanoseconds of this machine's boot-time clock, which all processes of a run share.
//!
//! Invariant: an event says what its client knows and no more. A change whose answer was lost is
//! [`Result::Unknown`], never "failed".

use offergate::domain::Token;
use serde::{Deserialize, Serialize};

/// Nanoseconds of boot time.
pub(crate) type Nanos = u64;

/// One call, or one thing that was done to the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Event {
    Check(Check),
    Change(Change),
    Await(Await),
    Fault(Fault),
    Emptied(Emptied),
}

/// May this be offered?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) client: u32,
    pub(crate) replica: String,
    pub(crate) sent: Nanos,
    pub(crate) received: Nanos,
    pub(crate) offer: String,
    /// The vendor of the offer's product.
    pub(crate) vendor: String,
    pub(crate) need: Need,
    /// `None`: the call failed.
    pub(crate) answer: Option<Answer>,
}

/// How new the rules had to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Need {
    Leased,
    AtLeast(String),
    Strict,
}

/// What a decision said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// `ELIGIBLE`, `INELIGIBLE` or `INDETERMINATE`.
    pub(crate) outcome: String,
    /// `CODE`, or `CODE:attribute`.
    pub(crate) reasons: Vec<String>,
    pub(crate) suspensions: Vec<String>,
    pub(crate) as_of: String,
    /// Empty: no rules were held.
    pub(crate) token: String,
}

impl Answer {
    pub(crate) fn is_eligible(&self) -> bool {
        self.outcome == "ELIGIBLE"
    }

    pub(crate) fn place(&self) -> Option<Token> {
        Token::parse(&self.token).ok()
    }
}

/// A change of the rules: one attempt. Attempts of one request share its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) client: u32,
    pub(crate) replica: String,
    pub(crate) sent: Nanos,
    pub(crate) received: Nanos,
    pub(crate) request: String,
    pub(crate) what: What,
    pub(crate) result: Result,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Suspend { suspension: String, target: Target },
    Lift { suspension: String },
    ApplyRules,
}

/// What is suspended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Vendor(String),
    Offer(String),
}

/// What the caller was told about a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Result {
    /// No check that starts after this can miss it.
    Enforced { token: String },
    /// No fail-over can lose it.
    Durable { token: String },
    /// The store holds it; a fail-over could lose it.
    Committed { token: String },
    /// No answer that says: it may have landed, and may still land.
    Unknown { why: String },
    /// It was not made.
    Refused { why: String },
}

/// A wait for a suspension to be enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Await {
    pub(crate) client: u32,
    pub(crate) replica: String,
    pub(crate) sent: Nanos,
    pub(crate) received: Nanos,
    pub(crate) suspension: String,
    pub(crate) enforced: bool,
}

/// A time during which something was broken on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) from: Nanos,
    pub(crate) until: Nanos,
    pub(crate) what: String,
    /// Whether it may have made histories disagree, so that people had to decide.
    pub(crate) forked: bool,
}

/// A time during which the store held nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Emptied {
    /// No node held anything any more.
    pub(crate) from: Nanos,
    /// People began to fill it again.
    pub(crate) until: Nanos,
}

/// Writes one line for each event.
pub(crate) fn to_lines(events: &[Event]) -> serde_json::Result<String> {
    let mut lines = String::new();
    for event in events {
        lines.push_str(&serde_json::to_string(event)?);
        lines.push('\n');
    }
    Ok(lines)
}
