//! Suspensions, and what stands against them: exemptions and grandfather clauses.

use super::{AdvisoryId, ExemptionId, OfferId, ProductId, Scope, SuspensionId, VendorId, Window};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;
use thin_vec::ThinVec;

/// The bank's approved decision to stop stated actions for a target and scope, in an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Stable id.
    pub id: SuspensionId,
    /// What is suspended.
    pub target: Target,
    /// How far it follows ownership; only for a vendor target.
    pub reach: Reach,
    /// Whether products with a component of the target are hit; only for a vendor target.
    pub components: ComponentReach,
    /// Whom it concerns, and which actions; `scope.actions` is never empty.
    pub scope: Scope,
    /// First instant in force.
    pub from: Timestamp,
    /// First instant no longer in force.
    pub until: Option<Timestamp>,
    /// When it was lifted; it counts from that instant and is never deleted.
    pub lifted_at: Option<Timestamp>,
    /// Lets what was accepted before a date be completed. Boxed, since few have one.
    pub grandfather: Option<Box<Grandfather>>,
    /// The day by which people look at it again. Decides nothing.
    pub review_by: Option<Date>,
    /// The publications it rests on.
    pub advisories: ThinVec<AdvisoryId>,
    /// The change ticket.
    pub ticket: String,
    /// Why, for the bank's own people.
    pub reason: String,
    /// What the customer may read.
    pub customer_message: Option<CustomerMessage>,
}

impl Suspension {
    /// While it is in force: a lift ends it early, an `until` before the lift ends it earlier.
    #[must_use]
    pub fn in_force(&self) -> Window {
        let until = match (self.until, self.lifted_at) {
            (Some(until), Some(lifted_at)) => Some(until.min(lifted_at)),
            (until, lifted_at) => until.or(lifted_at),
        };
        Window { from: Some(self.from), until }
    }

    /// Since when it is over, at `now`, and by which field. One that was lifted before it began is
    /// over too.
    #[must_use]
    pub fn over_since(&self, now: Timestamp) -> Option<(&'static str, Timestamp)> {
        let end = self.in_force().until.filter(|end| *end <= now)?;
        Some((if self.lifted_at == Some(end) { "lifted_at" } else { "until" }, end))
    }

    /// Whether this may become `wanted` at `now`. What was in force was in force: people were told
    /// so, and decisions rest on it.
    ///
    /// # Errors
    /// When it would say something else about the past, or is over, so that what was wanted of it
    /// would never come true.
    pub fn may_become(&self, wanted: &Self, now: Timestamp) -> Result<(), Unalterable> {
        if self == wanted {
            return Ok(());
        }
        if let Some((field, since)) = self.over_since(now) {
            return Err(Unalterable::Over { field, since });
        }
        if self.from <= now && self.from != wanted.from {
            return Err(Unalterable::Begun { from: self.from });
        }
        let ends =
            [("until", self.until, wanted.until), ("lifted_at", self.lifted_at, wanted.lifted_at)];
        for (field, held, wanted) in ends {
            if let Some(wanted) = wanted.filter(|end| held != Some(*end) && *end < now) {
                return Err(Unalterable::Past { field, held, wanted, now });
            }
        }
        Ok(())
    }
}

/// Why a suspension may not become what was wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unalterable {
    /// It has begun, so that its start stays.
    #[error(
        "it has been in force since {from}, and what has begun keeps its `from`: change the rest, or \
         lift it and create another"
    )]
    Begun {
        /// The start that it keeps.
        from: Timestamp,
    },

    /// It is over, so that all of it stays.
    #[error(
        "it is over since its `{field}`, {since}, and stays as it was: create another; a rule file \
         may leave it out"
    )]
    Over {
        /// What ended it: `until` or `lifted_at`.
        field: &'static str,
        /// When it ended.
        since: Timestamp,
    },

    /// It would have ended before anybody said so.
    #[error(
        "`{wanted}` is past, and {} is held; `{field}` may be {now} or later, or stay as it is",
        told(*.held)
    )]
    Past {
        /// Which end: `until` or `lifted_at`.
        field: &'static str,
        /// What it is.
        held: Option<Timestamp>,
        /// What was wanted.
        wanted: Timestamp,
        /// The earliest that it may be.
        now: Timestamp,
    },
}

impl Unalterable {
    /// The field that stands in the way, as rule files spell it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Begun { .. } => "from",
            Self::Over { field, .. } | Self::Past { field, .. } => field,
        }
    }
}

fn told(held: Option<Timestamp>) -> String {
    held.map_or_else(|| "none".to_owned(), |held| format!("`{held}`"))
}

/// What a suspension stops. There is no target "everything".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A vendor, and whom it reaches.
    Vendor(VendorId),
    /// One product, in all its offers.
    Product(ProductId),
    /// One offer.
    Offer(OfferId),
}

impl Target {
    /// The kind, as rule files and commands spell it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vendor(_) => "vendor",
            Self::Product(_) => "product",
            Self::Offer(_) => "offer",
        }
    }

    /// The id of what is targeted.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Vendor(id) => id.as_str(),
            Self::Product(id) => id.as_str(),
            Self::Offer(id) => id.as_str(),
        }
    }
}

/// How far a vendor suspension follows ownership, as at the instant of the decision (R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Reach {
    /// The named entity alone.
    EntityOnly,
    /// The named entity and whatever it owns, however far down.
    Descendants,
    /// Everything under common control with it. The default, being the safe side.
    #[default]
    Group,
}

impl Reach {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EntityOnly, Self::Descendants, Self::Group];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EntityOnly => "ENTITY_ONLY",
            Self::Descendants => "DESCENDANTS",
            Self::Group => "GROUP",
        }
    }
}

/// Whether a vendor suspension hits products that merely contain a component of that vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ComponentReach {
    /// Components count. The default, being the safe side.
    #[default]
    Include,
    /// Only the product's own vendors count.
    Exclude,
}

impl ComponentReach {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Include, Self::Exclude];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Include => "INCLUDE",
            Self::Exclude => "EXCLUDE",
        }
    }
}

/// Lets what was accepted, and not yet activated, before one instant be completed until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grandfather {
    /// Acceptance must be strictly before this instant.
    pub accepted_before: Timestamp,
    /// First instant at which the clause no longer helps.
    pub until: Timestamp,
}

/// What a customer may read about a suspension: one text, or one a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerMessage {
    /// The same text for everybody.
    Text(String),
    /// A text by language tag (BCP 47), at least one.
    ByLanguage(BTreeMap<String, String>),
}

/// A named, time-limited permission against named suspensions (R5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// Stable id.
    pub id: ExemptionId,
    /// The suspensions it waives, and no others; at least one.
    pub waives: Vec<SuspensionId>,
    /// Whom it concerns.
    pub scope: Scope,
    /// First instant it holds.
    pub from: Timestamp,
    /// First instant it no longer holds: an exemption always ends.
    pub until: Timestamp,
    /// The change ticket.
    pub ticket: String,
    /// Why.
    pub reason: String,
}

impl Exemption {
    /// While it holds.
    #[must_use]
    pub fn in_force(&self) -> Window {
        Window { from: Some(self.from), until: Some(self.until) }
    }
}
