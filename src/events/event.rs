//! One thing that people must hear of, as a CloudEvent (1.0, structured JSON).
//!
//! Invariant: equal facts make an equal id and, but for who sends it, equal bytes, on every replica. Data
//! is ids of rules, numbers, instants and names of staff: nothing that could name a customer.

use crate::domain::Timestamp;
use serde_json::{Value, json};

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One person put a suspension in force in an emergency.
    BreakGlass,
    /// Nobody has ratified that in time.
    BreakGlassOverdue,
    /// A suspension hits other products than before, though nobody changed it.
    ReachMoved,
    /// The day by which somebody was to review a suspension has come.
    ReviewDue,
    /// The histories of the store and of a replica disagree.
    Fork,
    /// The decision log lacks decisions.
    DecisionLogGap,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::BreakGlass => "offergate.v1.break_glass",
            Self::BreakGlassOverdue => "offergate.v1.break_glass_overdue",
            Self::ReachMoved => "offergate.v1.suspension_reach_moved",
            Self::ReviewDue => "offergate.v1.suspension_review_due",
            Self::Fork => "offergate.v1.fork",
            Self::DecisionLogGap => "offergate.v1.decision_log_gap",
        }
    }

    /// Whether somebody must hear of it now, however much else there is to hear of.
    pub(super) fn is_urgent(self) -> bool {
        match self {
            Self::BreakGlass | Self::BreakGlassOverdue | Self::Fork | Self::DecisionLogGap => true,
            Self::ReachMoved | Self::ReviewDue => false,
        }
    }

    /// Whether it is seen as the log or the time goes by, once; what else there is, each look finds again.
    pub(super) fn is_passing(self) -> bool {
        matches!(self, Self::BreakGlass | Self::ReachMoved)
    }
}

/// One thing that people must hear of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// The same for the same thing, whoever sees it and however often.
    pub(super) id: String,
    pub(super) kind: Kind,
    /// When it happened.
    pub(super) at: Timestamp,
    /// The rule or the server that it is about.
    pub(super) subject: String,
    pub(super) data: Value,
}

impl Event {
    /// The bytes to send, as text.
    pub(super) fn body(&self, source: &str, server: &str) -> String {
        let Self { id, kind, at, subject, data } = self;
        json!({
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": kind.name(),
            "subject": subject,
            "time": at.to_string(),
            "datacontenttype": "application/json",
            // An extension: who sends it.
            "offergateserver": server,
            "data": data,
        })
        .to_string()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_what_cloudevents_asks_for_and_differs_by_the_sender_alone() {
        let event = Event {
            id: "break-glass-7-0123".into(),
            kind: Kind::BreakGlass,
            at: "2017-12-02T09:30:00Z".parse().unwrap(),
            subject: "suspensions/x".into(),
            data: json!({"revision": 7}),
        };
        let read = |server| -> Value {
            serde_json::from_str(&event.body("/offergate/default", server)).unwrap()
        };
        let (mut one, mut other) = (read("a"), read("b"));
        for (key, expected) in [
            ("specversion", "1.0"),
            ("id", "break-glass-7-0123"),
            ("source", "/offergate/default"),
            ("type", "offergate.v1.break_glass"),
            ("subject", "suspensions/x"),
            ("time", "2017-12-02T09:30:00Z"),
            ("datacontenttype", "application/json"),
        ] {
            assert_eq!(one[key], expected);
        }
        assert_eq!(one["data"]["revision"], 7);
        assert_ne!(one, other);
        for event in [&mut one, &mut other] {
            event.as_object_mut().unwrap().remove("offergateserver");
        }
        assert_eq!(one, other);
    }
}
