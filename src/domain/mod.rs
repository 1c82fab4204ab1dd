//! The nouns: what the bank, its customers and its rules are made of.
//!
//! Values only. Nothing here does I/O, reads a clock, logs or knows a wire format, so these types
//! derive no serde traits: each edge keeps a shape of its own and converts at its border.
//!
//! Invariant: a value that exists is well formed. Whatever can be wrong with one is refused where
//! it is made; what can be wrong *between* values (a vendor that nobody declared) is the business
//! of [`rules::check`](crate::rules::check).

mod advisory;
mod country;
mod decision;
mod direction;
mod ids;
mod mailing;
mod offer;
mod principal;
mod product;
mod request;
mod revision;
mod rule_change;
mod rule_set;
mod scope;
mod suspension;
mod vendor;
mod window;

pub use advisory::{Advisory, AdvisoryStatus, Force};
pub use country::{Country, InvalidCountry};
pub use decision::{Decision, Outcome, Reason, ReasonCode, ReportedSuspension};
pub use direction::Direction;
pub use ids::{
    AdvisoryId, Channel, CustomerId, Device, ExemptionId, InvalidCustomerId, InvalidId, OfferId,
    ProductClass, ProductId, Segment, SuspensionId, VendorId,
};
pub use mailing::{ContentHash, LedgerId, Mailing, MailingAction, MailingId};
pub use offer::{Offer, Unit};
pub use principal::{Principal, PrincipalId, PrincipalKind, Role, Roles};
pub use product::{Component, Components, Product};
pub(crate) use request::is_same;
pub use request::{
    Attribute, AttributeName, AttributeValue, CheckRequest, Consistency, Customer, Holding,
    HoldingStatus, Relationship,
};
pub use revision::{ChainHash, InvalidToken, Lineage, Revision, Token};
pub use rule_change::{RuleChange, RuleEdit};
pub use rule_set::{RuleSet, Vocabularies};
pub use scope::{Action, Holder, PersonNexus, Scope};
pub use suspension::{
    ComponentReach, CustomerMessage, Exemption, Grandfather, Reach, Suspension, Target, Unalterable,
};
pub use vendor::{FormerName, Parent, Vendor};
pub use window::Window;

/// An instant. Every instant that enters carries an offset (R2); inside, there is only UTC.
pub use jiff::Timestamp;
/// A day in the calendar, for what has no time of day: births, reviews, publications.
pub use jiff::civil::Date;
