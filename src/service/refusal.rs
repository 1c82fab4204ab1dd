//! Refusals: what nobody may do, or not alone. Each is an error to whoever asked, and a record for
//! auditors.
//!
//! Invariant: records of refusals are bounded, whatever a caller does; those that are not written singly
//! are counted in the next one. A refusal that cannot be recorded is one all the same.

use crate::domain::{PrincipalId, Revision, Role, Timestamp};
use std::collections::HashMap;
use std::time::Duration;

/// Over which time refusals are bounded.
const WINDOW: Duration = Duration::from_secs(60);

/// How many of one principal are written singly in that time, and how many in all.
const MOST_OF_ONE: u32 = 10;
const MOST: u32 = 60;

/// Why somebody may not do what they asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The principal has not the role that this takes.
    #[error("this takes the role `{}`", needs.name())]
    NotAuthorised {
        /// The role.
        needs: Role,
    },

    /// A program asks for what only a person may do.
    #[error("{what} is for people, and a service account asked")]
    NotAPerson {
        /// What was asked for.
        what: &'static str,
    },

    /// The person has not signed in as the settings ask for an emergency.
    #[error("an emergency takes a sign-in with {lacks}, and this one had none")]
    TooWeakSignIn {
        /// What the token lacks.
        lacks: std::sync::Arc<str>,
    },

    /// Whoever asks for or edits a change is not the one who approves it, nor is an account of theirs.
    #[error("change {id} was asked for or edited by the same hand: another person decides on it")]
    SelfApproval {
        /// The change.
        id: Revision,
    },

    /// It may let somebody have what they could not have before.
    #[error(
        "this change may loosen, which always takes two people: propose it, and have it approved"
    )]
    TwoPersonsRequired,

    /// It hits more than one person may stop alone.
    #[error("{why}: propose it, and have it approved")]
    TooWide {
        /// What is too much.
        why: String,
    },

    /// An emergency has no ticket.
    #[error("an emergency needs a change ticket")]
    TicketRequired,

    /// What was approved is not what waits, or not any more what it was proposed for.
    #[error("change {id} cannot be approved as it was read: {why}")]
    ApprovalVoid {
        /// The change.
        id: Revision,
        /// What moved.
        why: String,
    },

    /// It waited for too long.
    #[error("change {id} lapsed at {since}: propose it anew, or edit it")]
    ProposalLapsed {
        /// The change.
        id: Revision,
        /// Since when.
        since: Timestamp,
    },
}

impl Refusal {
    /// The stable name, as errors and records spell it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAuthorised { .. } | Self::NotAPerson { .. } | Self::TooWeakSignIn { .. } => {
                "NOT_AUTHORISED"
            }
            Self::SelfApproval { .. } => "SELF_APPROVAL",
            Self::TwoPersonsRequired => "TWO_PERSONS_REQUIRED",
            Self::TooWide { .. } => "TOO_WIDE",
            Self::TicketRequired => "TICKET_REQUIRED",
            Self::ApprovalVoid { .. } => "APPROVAL_VOID",
            Self::ProposalLapsed { .. } => "PROPOSAL_LAPSED",
        }
    }
}

/// How many more refusals are written singly.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// When the current minute began.
    since: Duration,
    written: u32,
    of: HashMap<PrincipalId, u32>,
    unwritten: u64,
}

impl Allowance {
    /// Whether one more of this principal is written at `now`, in boot time; and then, how many before it
    /// were not.
    pub(super) fn take(&mut self, who: &PrincipalId, now: Duration) -> Option<u64> {
        if self.since + WINDOW <= now {
            (self.since, self.written) = (now, 0);
            self.of.clear();
        }
        let of_one = self.of.get(who).copied().unwrap_or_default();
        if MOST <= self.written || MOST_OF_ONE <= of_one {
            self.unwritten = self.unwritten.saturating_add(1);
            return None;
        }
        self.written += 1;
        self.of.insert(who.clone(), of_one + 1);
        Some(std::mem::take(&mut self.unwritten))
    }

    /// What was taken could not be written after all.
    pub(super) fn give_back(&mut self, unwritten: u64) {
        self.unwritten = self.unwritten.saturating_add(unwritten).saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_refusals_of_one_and_sixty_in_all_are_written_a_minute_and_the_next_one_counts_the_rest()
    {
        let mut allowance = Allowance::default();
        let start = Duration::from_secs(1_000);
        let name = |number: u32| PrincipalId::unverified(&format!("p-{number}"));
        let of_one: Vec<_> = (0..12).map(|_| allowance.take(&name(0), start)).collect();
        assert_eq!(of_one.iter().filter(|taken| taken.is_some()).count(), 10);
        assert_eq!(allowance.take(&name(1), start), Some(2), "counted in the next one");
        let written = (2..100).filter(|&who| allowance.take(&name(who), start).is_some()).count();
        assert_eq!(written, 49, "sixty in all");
        let later = start + Duration::from_secs(60);
        assert_eq!(allowance.take(&name(0), later), Some(49));
        allowance.give_back(49);
        assert_eq!(allowance.take(&name(0), later), Some(50), "nothing is forgotten");
    }
}
