//! The answer to a check: outcome, reasons, evidence (R16).

use super::{AttributeName, Exemption, OfferId, Revision, Suspension, SuspensionId};
use jiff::Timestamp;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use thin_vec::ThinVec;

/// The answer, and never a `bool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Yes, now.
    Eligible,
    /// No.
    Ineligible,
    /// Cannot tell: something that could matter is missing, invalid or stale. Do not offer.
    Indeterminate,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Eligible, Self::Ineligible, Self::Indeterminate];

    /// The name, as files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eligible => "ELIGIBLE",
            Self::Ineligible => "INELIGIBLE",
            Self::Indeterminate => "INDETERMINATE",
        }
    }
}

/// Why. The declared order is the order in which reasons are listed: what denies by suspension, by
/// criterion, by entitlement; what is missing; what allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonCode {
    /// One of the product's vendors is suspended.
    VendorSuspended,
    /// The vendor of one of the product's components is suspended.
    ComponentVendorSuspended,
    /// The product is suspended.
    ProductSuspended,
    /// The offer is suspended.
    OfferSuspended,
    /// Outside the offer's window.
    OfferNotOpen,
    /// The customer lives in a country that the offer does not serve.
    CountryNotServed,
    /// A required attribute is false.
    RequirementNotMet,
    /// Too young or too old.
    AgeOutOfRange,
    /// Has an active holding already.
    AlreadyHeld,
    /// The unit holds as many as it may.
    UnitLimitReached,
    /// A vulnerable customer is not approached by e-mail, SMS or post.
    OutboundSuppressed,
    /// The offer's own condition says no.
    ConditionNotMet,
    /// The holding lapsed, was cancelled, or is past its term.
    EntitlementEnded,
    /// There is no holding, or it was only accepted.
    EntitlementNotFound,
    /// The rules know no such offer.
    OfferUnknown,
    /// Something that could change the outcome was not said.
    AttributeMissing,
    /// Something that could change the outcome was said but cannot be read.
    AttributeInvalid,
    /// No rules are loaded.
    RulesUnavailable,
    /// The rules held may be out of date.
    RulesStale,
    /// Service messages are never gated.
    NotGated,
    /// An exemption waives what would deny.
    Exempted,
    /// A grandfather clause allows what would be denied.
    Grandfathered,
    /// Nothing stands against it.
    NoRuleApplies,
}

impl ReasonCode {
    /// All of them, in the order in which reasons are listed.
    pub const ALL: [Self; 23] = [
        Self::VendorSuspended,
        Self::ComponentVendorSuspended,
        Self::ProductSuspended,
        Self::OfferSuspended,
        Self::OfferNotOpen,
        Self::CountryNotServed,
        Self::RequirementNotMet,
        Self::AgeOutOfRange,
        Self::AlreadyHeld,
        Self::UnitLimitReached,
        Self::OutboundSuppressed,
        Self::ConditionNotMet,
        Self::EntitlementEnded,
        Self::EntitlementNotFound,
        Self::OfferUnknown,
        Self::AttributeMissing,
        Self::AttributeInvalid,
        Self::RulesUnavailable,
        Self::RulesStale,
        Self::NotGated,
        Self::Exempted,
        Self::Grandfathered,
        Self::NoRuleApplies,
    ];

    /// The name, as files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VendorSuspended => "VENDOR_SUSPENDED",
            Self::ComponentVendorSuspended => "COMPONENT_VENDOR_SUSPENDED",
            Self::ProductSuspended => "PRODUCT_SUSPENDED",
            Self::OfferSuspended => "OFFER_SUSPENDED",
            Self::OfferNotOpen => "OFFER_NOT_OPEN",
            Self::CountryNotServed => "COUNTRY_NOT_SERVED",
            Self::RequirementNotMet => "REQUIREMENT_NOT_MET",
            Self::AgeOutOfRange => "AGE_OUT_OF_RANGE",
            Self::AlreadyHeld => "ALREADY_HELD",
            Self::UnitLimitReached => "UNIT_LIMIT_REACHED",
            Self::OutboundSuppressed => "OUTBOUND_SUPPRESSED",
            Self::ConditionNotMet => "CONDITION_NOT_MET",
            Self::EntitlementEnded => "ENTITLEMENT_ENDED",
            Self::EntitlementNotFound => "ENTITLEMENT_NOT_FOUND",
            Self::OfferUnknown => "OFFER_UNKNOWN",
            Self::AttributeMissing => "ATTRIBUTE_MISSING",
            Self::AttributeInvalid => "ATTRIBUTE_INVALID",
            Self::RulesUnavailable => "RULES_UNAVAILABLE",
            Self::RulesStale => "RULES_STALE",
            Self::NotGated => "NOT_GATED",
            Self::Exempted => "EXEMPTED",
            Self::Grandfathered => "GRANDFATHERED",
            Self::NoRuleApplies => "NO_RULE_APPLIES",
        }
    }

    /// The code with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// What the code does to an outcome by itself.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::VendorSuspended
            | Self::ComponentVendorSuspended
            | Self::ProductSuspended
            | Self::OfferSuspended
            | Self::OfferNotOpen
            | Self::CountryNotServed
            | Self::RequirementNotMet
            | Self::AgeOutOfRange
            | Self::AlreadyHeld
            | Self::UnitLimitReached
            | Self::OutboundSuppressed
            | Self::ConditionNotMet
            | Self::EntitlementEnded
            | Self::EntitlementNotFound
            | Self::OfferUnknown => Outcome::Ineligible,
            Self::AttributeMissing
            | Self::AttributeInvalid
            | Self::RulesUnavailable
            | Self::RulesStale => Outcome::Indeterminate,
            Self::NotGated | Self::Exempted | Self::Grandfathered | Self::NoRuleApplies => {
                Outcome::Eligible
            }
        }
    }
}

/// A stable code, and the attribute that it is about, if it is about one. Each code and attribute
/// is listed once; which suspensions stand behind it is in [`Decision::suspensions`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// Why.
    pub code: ReasonCode,
    /// The attribute it is about.
    pub attribute: Option<AttributeName>,
}

impl Reason {
    /// A reason that is about no attribute.
    #[must_use]
    pub fn plain(code: ReasonCode) -> Self {
        Self { code, attribute: None }
    }

    /// A reason about an attribute.
    #[must_use]
    pub fn about(code: ReasonCode, attribute: AttributeName) -> Self {
        Self { code, attribute: Some(attribute) }
    }
}

impl fmt::Display for Reason {
    /// Writes `ATTRIBUTE_MISSING:country`, or the code alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.name())?;
        match &self.attribute {
            Some(attribute) => write!(f, ":{attribute}"),
            None => Ok(()),
        }
    }
}

/// A suspension that matches and that nothing is known to waive (R4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedSuspension<'s> {
    /// The suspension: borrowed from the rules decided by, until somebody wants to keep it.
    pub suspension: Cow<'s, Arc<Suspension>>,
    /// How it hits: by vendor, component, product or offer.
    pub code: ReasonCode,
}

/// An outcome with its reasons and evidence. Equal rules, request and instant give an equal
/// decision, order included.
///
/// Borrows the suspensions that it reports from the rules decided by, so that deciding touches no
/// reference count; [`Decision::into_owned`] lets go of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'s> {
    /// Number of the rule set that was used.
    pub revision: Revision,
    /// The instant decided for.
    pub as_of: Timestamp,
    /// Yes, no, or cannot tell.
    pub outcome: Outcome,
    /// At least one, in the order of [`ReasonCode`], then by attribute.
    pub reasons: SmallVec<[Reason; 2]>,
    /// Every suspension that matches and is neither waived nor grandfathered, by `from`, then id.
    pub suspensions: SmallVec<[ReportedSuspension<'s>; 4]>,
    /// Exemptions that were used, by `from`, then id.
    pub exemptions: ThinVec<Arc<Exemption>>,
    /// Suspensions that a grandfather clause of theirs held off, by `from`, then id.
    pub grandfathered: ThinVec<SuspensionId>,
    /// Another offer, itself eligible for this customer, action and instant (R13).
    pub alternate: Option<OfferId>,
    /// The next scheduled change that could touch this decision; `None` when none is scheduled.
    pub valid_until: Option<Timestamp>,
}

impl<'s> Decision<'s> {
    /// The same decision, to keep for longer than the rules it was made by are held.
    #[must_use]
    pub fn into_owned(self) -> Decision<'static> {
        let owned = |reported: ReportedSuspension<'s>| ReportedSuspension {
            suspension: Cow::Owned(reported.suspension.into_owned()),
            code: reported.code,
        };
        Decision {
            revision: self.revision,
            as_of: self.as_of,
            outcome: self.outcome,
            reasons: self.reasons,
            suspensions: self.suspensions.into_iter().map(owned).collect(),
            exemptions: self.exemptions,
            grandfathered: self.grandfathered,
            alternate: self.alternate,
            valid_until: self.valid_until,
        }
    }

    /// A decision that rests on one reason alone, with no suspension, exemption or alternate.
    #[must_use]
    pub fn because(reason: Reason, revision: Revision, as_of: Timestamp) -> Self {
        Self {
            revision,
            as_of,
            outcome: reason.code.outcome(),
            reasons: SmallVec::from_iter([reason]),
            suspensions: SmallVec::new(),
            exemptions: ThinVec::new(),
            grandfathered: ThinVec::new(),
            alternate: None,
            valid_until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_in_the_order_in_which_they_are_listed() {
        assert!(ReasonCode::ALL.iter().enumerate().all(|(place, code)| *code as usize == place));
    }
}
