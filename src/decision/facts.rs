//! What is known of one customer, for one offer, at one instant.
//!
//! Reads the request once: closed lists become small numbers, and the questions that several rules
//! ask ("is there an active holding?") are answered in one place.

use super::condition::Given;
use super::edges::Edge;
use super::offers::{Demands, OfferDetails};
use super::snapshot::{Asked, Snapshot};
use super::terms::Terms;
use super::truth::{Gaps, Standard, Truth};
use crate::domain::{
    Attribute, CheckRequest, Country, Holder, Holding, HoldingStatus, ProductClass, Relationship,
    Timestamp,
};

/// Borrows the request for `'a`, which borrows its texts for `'t`.
pub(super) struct Facts<'a, 't> {
    pub(super) request: &'a CheckRequest<'t>,
    pub(super) details: &'a OfferDetails,
    pub(super) demands: &'a Demands,
    pub(super) terms: &'a Terms,
    pub(super) now: Timestamp,
    /// The first edge of a suspension that has not come.
    pub(super) next_edge: Edge,
    pub(super) country: Attribute<Country>,
    pub(super) relationship: Attribute<Relationship>,
    pub(super) us_person: Attribute<bool>,
    /// Places in the rule set's vocabularies; a term outside them is invalid.
    pub(super) segment: Attribute<u8>,
    pub(super) device: Attribute<u8>,
    pub(super) channel: Attribute<u8>,
    pub(super) holding: Attribute<&'a Holding<'t>>,
    active: Truth,
}

impl<'a, 't> Facts<'a, 't> {
    pub(super) fn new(
        request: &'a CheckRequest<'t>,
        asked: &Asked<'a>,
        holding: Attribute<&'a Holding<'t>>,
        snapshot: &'a Snapshot,
        now: Timestamp,
    ) -> Self {
        let terms = &*snapshot.terms;
        Self {
            request,
            details: asked.details,
            demands: asked.demands,
            terms,
            now,
            next_edge: snapshot.compiled.edges.next(now),
            country: request.customer.country,
            relationship: request.customer.relationship,
            us_person: request.customer.us_person,
            segment: terms.segment(request.customer.segment),
            device: terms.device(request.device),
            channel: terms.channel(request.channel),
            holding,
            active: is_active(holding, now),
        }
    }

    /// What a condition may read.
    pub(super) fn given(&self) -> Given<'a, 't> {
        Given {
            customer: &self.request.customer,
            segment: only_if_known(self.segment, self.request.customer.segment),
            channel: only_if_known(self.channel, self.request.channel),
            device: only_if_known(self.device, self.request.device),
            action: self.request.action,
            now: self.now,
        }
    }

    pub(super) fn product_class(&self) -> &'a ProductClass {
        &self.details.product.class
    }

    /// Whether there is an active holding of the product: status `ACTIVE`, and before the end of
    /// the term if it has one (R3).
    pub(super) fn is_active(&self) -> Truth {
        self.active
    }

    /// Whether the customer holds the product, where that is known (R8).
    pub(super) fn holder(&self) -> Option<Holder> {
        match self.active {
            Truth::Yes => Some(Holder::Existing),
            Truth::No => Some(Holder::New),
            Truth::Unknown(_) => None,
        }
    }

    /// The end of the term, if that is still to come: the instant at which the holding stops being
    /// active by itself.
    pub(super) fn coming_term_end(&self) -> Option<Timestamp> {
        let holding = self.holding.known()?;
        let is_active = holding.status == Attribute::Known(HoldingStatus::Active);
        holding.term_end.known().filter(|end| is_active && self.now < *end)
    }

    /// Whether the person is covered through the unit's holder. Absence says "by nobody".
    pub(super) fn is_covered(&self) -> Truth {
        match self.holding {
            Attribute::Known(Holding { covered_by: Attribute::Known(_), .. }) => Truth::Yes,
            Attribute::Known(Holding { covered_by: Attribute::Missing, .. }) => Truth::No,
            Attribute::Known(Holding { covered_by: Attribute::Invalid, .. }) => {
                Truth::Unknown(Gaps::invalid(Standard::HoldingCoveredBy))
            }
            Attribute::Missing => Truth::Unknown(Gaps::missing(Standard::Holding)),
            Attribute::Invalid => Truth::Unknown(Gaps::invalid(Standard::Holding)),
        }
    }

    /// What `test` says of the holding's status.
    pub(super) fn status(&self, test: impl FnOnce(HoldingStatus) -> bool) -> Truth {
        status(self.holding, test)
    }
}

fn only_if_known(place: Attribute<u8>, given: Attribute<&str>) -> Attribute<&str> {
    match place {
        Attribute::Known(_) => given,
        Attribute::Missing => Attribute::Missing,
        Attribute::Invalid => Attribute::Invalid,
    }
}

fn status(holding: Attribute<&Holding<'_>>, test: impl FnOnce(HoldingStatus) -> bool) -> Truth {
    match holding {
        Attribute::Known(holding) => Truth::when(holding.status, Standard::HoldingStatus, test),
        Attribute::Missing => Truth::Unknown(Gaps::missing(Standard::Holding)),
        Attribute::Invalid => Truth::Unknown(Gaps::invalid(Standard::Holding)),
    }
}

fn is_active(holding: Attribute<&Holding<'_>>, now: Timestamp) -> Truth {
    let in_term = || match holding.known().map(|holding| holding.term_end) {
        Some(Attribute::Known(end)) => Truth::of(now < end),
        Some(Attribute::Invalid) => Truth::Unknown(Gaps::invalid(Standard::HoldingTermEnd)),
        Some(Attribute::Missing) | None => Truth::Yes,
    };
    // Which fields count depends on the status, so an unknown one leaves the term unread.
    match status(holding, |status| status == HoldingStatus::Active) {
        Truth::Yes => in_term(),
        other => other,
    }
}
